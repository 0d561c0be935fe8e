// Cgroups and containers on the real kernel, with nothing left behind.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/container.h"
#include "isolation/launch_info.h"
#include "tests/support/temp_folder.h"

namespace dewar {

/// How a child ended, and what it wrote to its stdout and stderr.
struct Ended {
  int code = 0;  ///< exit status, or minus the signal number
  std::string output;
};

/// Waits for a child of ours.
int wait_for(pid_t pid);

/// A child that runs `act` and exits with what it returns.
pid_t fork_child(const std::function<int()>& act);

/// Joins this process (which must have one thread) to a group.
bool join(const Cgroup& group);

/// Runs `testcase` (tests/testcases/testcase.cc) in a group, and waits for it.
Ended run_testcase(const Cgroup& group, const std::vector<std::string>& arguments);
/// Starts it; the caller reaps.
pid_t start_testcase(const Cgroup& group, const std::vector<std::string>& arguments);

/// Polls a condition that the kernel gives no descriptor for; false after 30 s.
bool eventually(const std::function<bool()>& condition);

/// Has a layout of its own on this host's hierarchies. At the end of a test everything below it must be gone.
class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// The host as it is, and as a host of pure v1 (without the cgroup2 that it may have beside).
  const CgroupLayout& layout() const { return layout_; }
  std::vector<CgroupLayout> layouts() const;
  bool pure_v2() const { return layout_.v1.empty(); }

  std::string tag() const { return tag_; }

 private:
  std::string tag_;
  CgroupLayout layout_, pure_v1_;
};

/// A task's group that is killed and removed at the end of its scope.
class ScratchGroup {
 public:
  ScratchGroup(const CgroupLayout& layout, const std::string& name, const Limits& limits = {});
  ~ScratchGroup();
  Cgroup& operator*() { return group_; }
  const Cgroup& operator*() const { return group_; }
  Cgroup* operator->() { return &group_; }

 private:
  Cgroup group_;
};

/// A container, its folders, and commands in it.
class ContainerTest : public KernelTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  ContainerSpec& spec() { return spec_; }
  /// Makes it from spec().
  Container make();
  /// `bash -c script` in the sandbox folder as `uid`, under the default filter, without capabilities. What it writes is
  /// in `output`.
  Ended run(const Container& container, const std::string& script, uid_t uid = 65534) {
    return finish(start(container, script, uid));
  }

  /// A command that runs; its launcher is this process's child.
  struct Running {
    pid_t launcher;
    Cgroup leaf;
    AttemptRecipe recipe;
  };
  /// run() in two halves. `change` sees the recipe before the launcher does.
  Running start(
      const Container& container, const std::string& script, uid_t uid = 65534,
      const std::function<void(AttemptRecipe&)>& change = [](AttemptRecipe&) {});
  Ended finish(Running running);
  std::string folder(const std::string& name) const { return *folder_ / name; }

 private:
  std::unique_ptr<TempFolder> folder_;
  ContainerSpec spec_;
  std::string filter_;
  int attempts_ = 0;
};

}  // namespace dewar
