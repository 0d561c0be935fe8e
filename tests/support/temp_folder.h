#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace dewar {

/// A new folder below /var/tmp (a real file system, not a tmpfs) or elsewhere, removed at the end.
class TempFolder {
 public:
  explicit TempFolder(const std::string& where = "/var/tmp") : path_(where + "/dewar-test-XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { EXPECT_TRUE(remove_tree(path_)); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dewar
