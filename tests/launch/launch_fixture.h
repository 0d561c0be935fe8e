// A scratch container on the real kernel, made by dewar-launch itself from small recipes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "isolation/attempt_status.h"
#include "isolation/launch_info.h"

namespace dewar::testing {

/// Folders, cgroups and processes of one test; all gone at its end.
class LaunchTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// A small root of the host's programs, with /sandbox writable.
  ContainerRecipe container_recipe() const;
  /// Carries it out; the container lives until the end of the test.
  LaunchReport launch(const ContainerRecipe& recipe);
  /// launch() of the small root, which must work.
  void make_container();

  /// `bash -c script` as root in /sandbox, each attempt with its own status file, log folder and leaf cgroup.
  AttemptRecipe attempt_recipe(const std::string& script);
  /// Starts the launcher for an attempt; returns its pid. Its stdout and stderr become `out` and `err`.
  pid_t start(const AttemptRecipe& recipe, int out = -1, int err = -1);
  /// start(), and waits for the launcher's end, which must be 0. Returns the last status.
  AttemptStatus run(const AttemptRecipe& recipe);
  /// run() of a script.
  AttemptStatus run(const std::string& script) { return run(attempt_recipe(script)); }
  /// The launcher's exit status.
  int wait_for_launcher(pid_t pid);
  /// Waits until the status file tells `stage` or a later one.
  AttemptStatus wait_for_stage(const AttemptRecipe& recipe, AttemptStage stage);
  std::optional<AttemptStatus> status_of(const AttemptRecipe& recipe) const;

  /// What the latest attempt wrote.
  std::string out() const { return log("stdout"); }
  std::string err() const { return log("stderr"); }
  std::string log(const std::string& name) const;
  std::vector<std::string> logs() const;

  std::string scratch() const { return scratch_; }
  const UniqueFd& init() const { return init_; }
  ProcessId init_id() const { return init_id_; }
  bool has_cgroup2() const { return !unified_.empty(); }
  bool has_v1() const { return !v1_.empty(); }
  /// A fresh cgroup v1 leaf (pids controller), or empty if the host has none.
  std::string v1_leaf();

 private:
  std::string new_leaf(const std::string& parent);

  std::string scratch_, unified_, v1_;
  std::vector<std::string> cgroups_;  ///< leaves last
  UniqueFd init_;
  ProcessId init_id_;
  int attempts_ = 0;
};

struct Descriptors {
  int second;  ///< becomes 4
  int out = -1, err = -1;
};
/// Starts dewar-launch with `bytes` on its descriptor 3 (then end-of-file), in a cgroup and in new namespaces.
pid_t start_launcher(const std::string& bytes, const Descriptors& given, int cgroup = -1, std::uint64_t namespaces = 0);

std::string slurp(const std::string& path);

}  // namespace dewar::testing
