// Whole tasks inside a part of the host's cgroups: a named one, and under systemd a delegated unit and one that is not.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdio>
#include <memory>

#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/host.h"
#include "tests/cli/dewar_command.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/cgroup_record.h"
#include "thermos/prepare.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTask[] =
    "name: t\n"
    "processes:\n"
    "  - {name: p, cmdline: 'touch started; until [ -e go ]; do sleep 0.05; done; touch finished'}\n"
    "  - {name: last, final: true, cmdline: 'touch finalized'}\n"
    "resources: {cpu: 0.5, ram: 64MB}\n";

/// What a shell command prints, without the newline at its end.
std::string sh(const std::string& command) {
  const auto close = [](FILE* pipe) { ::pclose(pipe); };
  const std::unique_ptr<FILE, decltype(close)> pipe(::popen((command + " 2>&1").c_str(), "re"), close);
  std::string text;
  char block[4096];
  while (const std::size_t n = std::fread(block, 1, sizeof block, pipe.get())) text.append(block, n);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

/// A task file and a work dir, and the task's files in it.
class SubtreeRun : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    EXPECT_TRUE(replace_file(folder_ / "task.yaml", kTask));
  }

  std::vector<std::string> arguments() const {
    return {"run", folder_ / "task.yaml", "--work-dir", folder_ / "work", "--task-id", "t"};
  }
  std::string sandbox() const {
    const auto run = find_run_folder(folder_ / "work", "t");
    return run ? *run + "/sandbox" : "/nowhere";
  }
  bool has(const std::string& name) const { return exists(sandbox() + "/" + name); }
  void wait_for_file(const std::string& name) const {
    // A busy machine that emulates its processor takes long to start programs.
    for (int patience = 0; patience < 4 && !has(name);) patience += eventually([&] { return has(name); }) ? 0 : 1;
    EXPECT_TRUE(has(name)) << "no " << name << " in " << sandbox();
  }
  void let_go() const { EXPECT_TRUE(replace_file(sandbox() + "/go", "")); }
  /// The name of the task's cgroup.
  std::string container() const {
    const auto run = find_run_folder(folder_ / "work", "t");
    return run ? run->substr(run->rfind('/') + 1) : "";
  }

  TempFolder folder_;
};

std::string limit_file(const std::string& mount_of_memory, const std::string& group) {
  const std::string folder = mount_of_memory + group;
  return exists(folder + "/memory.max") ? folder + "/memory.max" : folder + "/memory.limit_in_bytes";
}

// covers: delegated subtree
TEST_F(SubtreeRun, ATaskStaysInTheNamedSubtree) {
  std::vector<std::string> roots, ours;
  if (!layout().unified.empty()) roots.push_back(layout().unified);
  for (const auto& [controller, group] : layout().v1) roots.push_back(group);
  for (const std::string& root : roots) {
    ours.push_back(root + "/ours");
    ASSERT_TRUE(make_dirs(root + "/ours") && inherit_cpuset(root + "/ours"));
    ASSERT_TRUE(make_dirs(root + "/theirs") && inherit_cpuset(root + "/theirs"));
  }
  const CgroupRecord before(roots, ours, true);
  std::vector<std::string> words = arguments();
  words.insert(words.end(), {"--cgroup", ours.front()});
  DewarCommand run(words);
  wait_for_file("started");
  const std::string memory =
      (layout().v1.contains("memory") ? layout().v1.at("memory") : layout().unified) + "/ours/dewar";
  EXPECT_EQ(*read_file(limit_file(memory, "/" + container())), "67108864\n");
  EXPECT_THAT(before.changes(CgroupRecord(roots, ours, true)), IsEmpty());
  let_go();
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(before.changes(CgroupRecord(roots, ours, true)), IsEmpty());
  for (const std::string& root : roots)
    for (const char* name : {"/ours", "/theirs"}) EXPECT_TRUE(remove_group(root + name));
}

/// A transient unit whose main process is `dewar run`.
class Systemd : public SubtreeRun {
 protected:
  void SetUp() override {
    if (!exists("/run/systemd/system")) GTEST_SKIP() << "PID 1 is not systemd";
    SubtreeRun::SetUp();
  }
  void TearDown() override {
    if (!IsSkipped()) {
      sh("systemctl stop " + unit_ + "; systemctl reset-failed " + unit_);
      EXPECT_TRUE(eventually([&] { return group_.empty() || !exists(mount_ + group_); }));
    }
    SubtreeRun::TearDown();
  }

  void start(const std::string& properties) {
    std::string command = "systemd-run --quiet --unit=" + unit_ + " " + properties + " " DEWAR_BIN "/dewar";
    for (const std::string& word : arguments()) command += " " + word;
    EXPECT_EQ(sh(command), "");
    wait_for_file("started");
    group_ = sh("systemctl show --value --property=ControlGroup " + unit_);
    EXPECT_THAT(group_, HasSubstr(unit_));
  }
  /// Every setting of the host's cgroups but the unit's, and those of the group that other tests may work in meanwhile.
  CgroupRecord outside() const {
    std::vector<std::string> apart = below_all(unit_path());
    const auto host = look_at_host_cgroups();
    if (host && host->subtree == Subtree::kDelegated)
      for (const std::string& folder : below_all(host->path)) apart.push_back(folder);
    return {all_mounts(), apart, false};
  }
  std::string unit_path() const { return "/system.slice/" + unit_; }

  static std::vector<std::string> all_mounts() {
    std::vector<std::string> mounts;
    const auto text = sh("findmnt --noheadings --output TARGET --types cgroup,cgroup2");
    std::istringstream lines(text);
    for (std::string line; lines >> line;)
      if (line.find('/') != line.npos) mounts.push_back(line.substr(line.find('/')));
    return mounts;
  }
  static std::vector<std::string> below_all(const std::string& path) {
    std::vector<std::string> folders = all_mounts();
    for (std::string& folder : folders) folder += path;
    return folders;
  }
  std::string limit_of_task(const std::string& path) const {
    for (const std::string& mount : all_mounts()) {
      const auto text = read_file(limit_file(mount, path + "/dewar/" + container()));
      if (text) return *text;
    }
    return "no limit below " + path;
  }

  const std::string unit_ = "dewar-test.service";
  const std::string mount_ = exists("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
  std::string group_;
};

// covers: delegated subtree
TEST_F(Systemd, ADelegatedUnitHoldsTheWholeTaskAndNothingElseIsTouched) {
  const CgroupRecord before = outside();
  start("--property=Delegate=yes");
  EXPECT_EQ(group_, unit_path());
  EXPECT_EQ(limit_of_task(unit_path()), "67108864\n");
  EXPECT_THAT(before.changes(outside()), IsEmpty());
  EXPECT_EQ(sh("systemctl daemon-reload"), "");
  EXPECT_EQ(limit_of_task(unit_path()), "67108864\n") << "after a reload";
  EXPECT_THAT(before.changes(outside()), IsEmpty());
  let_go();
  wait_for_file("finalized");
  EXPECT_TRUE(eventually([&] { return sh("systemctl is-active " + unit_) != "active"; }));
  EXPECT_THAT(before.changes(outside()), IsEmpty());
}

TEST_F(Systemd, StoppingADelegatedUnitStopsTheTaskWithItsFinalizers) {
  start("--property=Delegate=yes --property=KillMode=mixed");
  EXPECT_EQ(sh("systemctl stop " + unit_), "");
  EXPECT_TRUE(has("finalized"));
  EXPECT_FALSE(has("finished"));
  EXPECT_FALSE(exists(mount_ + unit_path()));
  DewarCommand again(arguments());
  EXPECT_EQ(again.wait(), 1);
  EXPECT_THAT(again.out(), HasSubstr("KILLED"));
}

TEST_F(Systemd, KillingADelegatedUnitLeavesNothing) {
  start("--property=Delegate=yes");
  EXPECT_EQ(sh("systemctl kill --signal=KILL " + unit_), "");
  EXPECT_TRUE(eventually([&] { return !exists(mount_ + unit_path()); })) << "the unit's cgroup";
  EXPECT_FALSE(has("finished"));
}

TEST_F(Systemd, WithoutDelegationTheTaskIsAtTheTopAndOutlivesTheUnit) {
  start("");
  EXPECT_EQ(limit_of_task(""), "67108864\n");
  EXPECT_EQ(sh("systemctl daemon-reload"), "");
  EXPECT_EQ(limit_of_task(""), "67108864\n") << "after a reload";
  EXPECT_EQ(sh("systemctl kill --signal=KILL " + unit_), "");
  EXPECT_TRUE(eventually([&] { return sh("systemctl is-active " + unit_) != "active"; }));
  EXPECT_FALSE(has("finished"));
  let_go();
  wait_for_file("finalized");
  DewarCommand again(arguments());
  EXPECT_EQ(again.wait(), 0) << again.err();
  EXPECT_THAT(again.out(), HasSubstr("SUCCESS"));
}

}  // namespace
}  // namespace dewar
