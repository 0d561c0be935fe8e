// Looks before and after a test: nothing it made may stay on the host.
#pragma once

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "base/files.h"
#include "tests/support/own_mounts.h"

namespace dewar {

/// Makes the test's process the reaper of every orphan its processes leave (PR_SET_CHILD_SUBREAPER), gives it a mount
/// namespace of its own, remembers the mounts there are, and in expect_clean() tells what is new: mounts, processes,
/// and cgroups with `tag` in their name. Tests that run at the same time do not disturb each other if their tags
/// differ.
class LeakCheck {
 public:
  explicit LeakCheck(std::string tag) : tag_(std::move(tag)) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    take_own_mounts();
    mounts_ = mounts();
  }

  /// Waits for what is ending already (everything must have been killed), then looks.
  void expect_clean() const {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    }
    EXPECT_EQ(pid, -1) << "a process of this test still lives";
    for (const std::string& group : cgroups()) ADD_FAILURE() << "a cgroup is left: " << group;
    for (const std::string& mount : mounts()) EXPECT_TRUE(mounts_.contains(mount)) << "a mount is left: " << mount;
  }

 private:
  static std::set<std::string> mounts() {
    std::set<std::string> found;
    const auto text = read_file("/proc/self/mountinfo");
    std::istringstream lines(text ? *text : "");
    for (std::string line; std::getline(lines, line);) found.insert(line);
    return found;
  }

  std::set<std::string> cgroups() const {
    std::set<std::string> found;
    std::error_code ignored;
    constexpr auto kSkip = std::filesystem::directory_options::skip_permission_denied;
    for (auto at = std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", kSkip, ignored);
         at != std::filesystem::recursive_directory_iterator(); at.increment(ignored)) {
      if (at->is_directory(ignored) && at->path().filename().string().find(tag_) != std::string::npos)
        found.insert(at->path());
    }
    return found;
  }

  std::string tag_;
  std::set<std::string> mounts_;
};

}  // namespace dewar
