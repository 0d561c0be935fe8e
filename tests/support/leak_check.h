// Looks before and after a test: nothing it made may stay on the host.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
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
/// descriptors of the test, session keyrings, and cgroups with `tag` in their name. A namespace lives by a process, a
/// descriptor or a mount, so none of these left means that none of those is. Tests that run at the same time do not
/// disturb each other if their tags differ.
class LeakCheck {
 public:
  explicit LeakCheck(std::string tag) : tag_(std::move(tag)) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    take_own_mounts();
    mounts_ = mounts();
    descriptors_ = descriptors();
    keyrings_ = keyrings();
  }

  /// Waits for what is ending already (everything must have been told to), then looks.
  void expect_clean() const {
    expect_no_process();
    for (const std::string& group : cgroups()) ADD_FAILURE() << "a cgroup is left: " << group;
    std::multiset<std::string> before = mounts_;
    for (const std::string& mount : mounts()) {
      const auto known = before.find(mount);
      if (known == before.end()) {
        ADD_FAILURE() << "a mount is left: " << mount;
      } else {
        before.erase(known);
      }
    }
    for (const std::string& one : descriptors())
      EXPECT_TRUE(descriptors_.contains(one)) << "a descriptor is left: " << one;
    expect_no_keyring();
  }

 private:
  static void expect_no_process() {
    for (int rounds = 0; rounds < 1000; ++rounds) {
      pid_t pid = 0;
      while ((pid = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
      }
      if (pid < 0) return;
      ::poll(nullptr, 0, 10);
    }
    const std::string own = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
    ADD_FAILURE() << "processes of this test still live: " << read_file(own).take();
  }

  /// The kernel collects keys some time after their last process has ended, and does not tell whose they were: while
  /// tasks of other tests live, a surplus may be theirs and says nothing.
  void expect_no_keyring() const {
    for (int rounds = 0; rounds < 3000; ++rounds) {
      if (keyrings() <= keyrings_ || (rounds > 100 && others_have_tasks())) return;
      ::poll(nullptr, 0, 10);
    }
    ADD_FAILURE() << "a session keyring is left";
  }

  /// None of ours lives any more when this is asked.
  static bool others_have_tasks() {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      const auto name = read_file(entry.path().string() + "/comm");
      if (name && *name == "dewar-launch\n") return true;
    }
    return false;
  }

  static std::set<std::string> descriptors() {
    std::set<std::string> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
      const std::string to = std::filesystem::read_symlink(entry.path(), ignored);
      if (!to.ends_with("/fd")) found.insert(entry.path().filename().string() + " -> " + to);
    }
    return found;
  }

  /// Those that processes of root, as the launchers are, have made; what other tests make at the same time counts too.
  static std::size_t keyrings() {
    const auto text = read_file("/proc/keys");
    std::size_t count = 0;
    for (std::size_t at = 0; text && (at = text->find(" _ses", at)) != std::string::npos; ++at) ++count;
    return count;
  }

  /// What is mounted where, without the numbers, which differ after a test has taken a mount namespace of its own.
  static std::multiset<std::string> mounts() {
    std::multiset<std::string> found;
    const auto text = read_file("/proc/self/mountinfo");
    std::istringstream lines(text ? *text : "");
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string id, parent, device, root, place;
      words >> id >> parent >> device >> root >> place;
      found.insert(place + " (" + device + " " + root + ")");
    }
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
  std::multiset<std::string> mounts_;
  std::set<std::string> descriptors_;
  std::size_t keyrings_ = 0;
};

}  // namespace dewar
