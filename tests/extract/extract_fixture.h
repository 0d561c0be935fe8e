#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "fetcher/extract.h"
#include "tests/support/temp_folder.h"

namespace dewar {

/// A target folder with neighbours that no archive may touch.
class ExtractTest : public ::testing::Test {
 protected:
  ExtractTest();
  ~ExtractTest() override;

  /// Pushes the archive in uneven pieces.
  Result<ExtractReport> unpack(std::string_view archive, const std::string& name = "archive",
                               const ExtractLimits& limits = {});
  /// From a file.
  Result<ExtractReport> unpack_file(std::string_view archive, const std::string& name = "archive",
                                    const ExtractLimits& limits = {});
  UniqueFd target() const;

  std::string in_target(const std::string& path) const { return temp_ / "target/" + path; }
  std::string canary() const { return temp_ / "canary"; }
  /// Names in the target, folders with a slash at their end, sorted; hidden ones too.
  std::vector<std::string> names() const;
  unsigned mode_of(const std::string& path) const;
  /// "" if it is not there.
  std::string content_of(const std::string& path) const;

  /// Type, mode, times, size, links, owner and content of everything but the target, by path.
  std::map<std::string, std::string> neighbours() const;

  const TempFolder temp_;

 private:
  mode_t umask_before_;
};

}  // namespace dewar
