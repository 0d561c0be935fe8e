#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace dewar {

/// A new folder below /var/tmp (a real file system, not a tmpfs), removed at the end.
class TempFolder {
 public:
  TempFolder() {
    char name[] = "/var/tmp/dewar-test-XXXXXX";
    const char* made = ::mkdtemp(name);
    EXPECT_NE(made, nullptr);
    path_ = name;
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
