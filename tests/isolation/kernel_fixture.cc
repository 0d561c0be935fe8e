#include "tests/isolation/kernel_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

#include "base/cgroup_members.h"
#include "base/clock.h"
#include "base/files.h"
#include "isolation/attempt_status.h"
#include "isolation/cgroup/group_files.h"
#include "isolation/cgroup/host.h"
#include "isolation/root.h"
#include "isolation/seccomp/profile.h"

namespace dewar {
namespace {

constexpr char kTestcase[] = DEWAR_BIN "/testcase";

std::string next_tag() {
  static std::atomic<int> count = 0;
  return "dewar-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

std::vector<std::string> folders_of(const CgroupLayout& layout) {
  std::vector<std::string> folders;
  if (!layout.unified.empty()) folders.push_back(layout.unified);
  for (const auto& [controller, folder] : layout.v1) folders.push_back(folder);
  return folders;
}

std::string slurp(const std::string& path) {
  auto text = read_file(path);
  return text ? std::move(text).take() : "";
}

[[noreturn]] void exec_testcase(const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(kTestcase)};
  for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(kTestcase, argv.data());
  ::_exit(120);
}

}  // namespace

int wait_for(pid_t pid) {
  int status = 0;
  EXPECT_EQ(retry_eintr([&] { return ::waitpid(pid, &status, 0); }), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

pid_t fork_child(const std::function<int()>& act) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(act());
  EXPECT_GT(pid, 0);
  return pid;
}

bool join(const Cgroup& group) {
  const auto write_zero = [](const std::string& file) {
    const auto fd = open_file(file, O_WRONLY);
    return fd && ::write(fd->get(), "0", 1) == 1;
  };
  if (!group.unified().empty() && !write_zero(group.unified() + "/cgroup.procs")) return false;
  for (const std::string& folder : group.v1_folders()) {
    if (!write_zero(folder + "/tasks")) return false;
  }
  return true;
}

pid_t start_testcase(const Cgroup& group, const std::vector<std::string>& arguments) {
  return fork_child([&]() -> int {
    if (!join(group)) return 121;
    exec_testcase(arguments);
  });
}

Ended run_testcase(const Cgroup& group, const std::vector<std::string>& arguments) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t pid = fork_child([&]() -> int {
    if (::dup2(write_end.get(), STDOUT_FILENO) < 0 || !join(group)) return 121;
    exec_testcase(arguments);
  });
  write_end.reset();
  Ended ended;
  if (auto output = read_all(read_end.get(), "output")) ended.output = std::move(output).take();
  ended.code = wait_for(pid);
  return ended;
}

bool eventually(const std::function<bool()>& condition) {
  const Time deadline = SystemClock().now() + std::chrono::seconds(30);
  while (!condition()) {
    if (SystemClock().now() > deadline) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

void KernelTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  tag_ = next_tag();
  auto made = prepare_host_cgroups(tag_);
  ASSERT_TRUE(made) << made.error().message();
  layout_ = std::move(made).take();
  if (pure_v2()) return;
  pure_v1_.v1 = layout_.v1;
  const std::string cpu = pure_v1_.v1["cpu"];
  const bool together = exists(cpu + "/cpuacct.usage");  // both controllers in one hierarchy
  pure_v1_.v1["cpuacct"] = together ? cpu : "/sys/fs/cgroup/cpuacct/" + tag_;
  ASSERT_TRUE(make_dirs(pure_v1_.v1["cpuacct"]));
}

void KernelTest::TearDown() {
  if (tag_.empty()) return;
  for (const CgroupLayout& made : layouts()) {
    for (const std::string& folder : folders_of(made)) {
      for (const std::string& left : child_groups(folder)) ADD_FAILURE() << "left in " << folder << ": " << left;
      EXPECT_TRUE(kill_members(folder, 10000));
      EXPECT_TRUE(remove_group(folder));
    }
  }
}

std::vector<CgroupLayout> KernelTest::layouts() const {
  return pure_v1_.v1.empty() ? std::vector{layout_} : std::vector{layout_, pure_v1_};
}

ScratchGroup::ScratchGroup(const CgroupLayout& layout, const std::string& name, const Limits& limits)
    : group_(Cgroup::create(layout, name).take()) {
  const auto set = group_.set(limits);
  EXPECT_TRUE(set) << set.error().message();
}

ScratchGroup::~ScratchGroup() {
  EXPECT_TRUE(group_.kill_all(30000));
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  const auto removed = group_.remove();
  EXPECT_TRUE(removed) << removed.error().message();
}

void ContainerTest::SetUp() {
  KernelTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  folder_ = std::make_unique<TempFolder>();
  ASSERT_EQ(::chmod(folder_->path().c_str(), 0755), 0);
  for (const char* name : {"sandbox", "logs", "attempts"}) ASSERT_TRUE(make_dirs(folder(name)));
  ASSERT_EQ(::chmod(folder("sandbox").c_str(), 01777), 0);
  spec_.id = "container";
  spec_.cgroups = layout();
  spec_.hostname = "flask";
  spec_.sandbox_folder = folder("sandbox");
  spec_.log_folder = folder("logs");
  spec_.root_folder = folder("root");
  spec_.launcher = DEWAR_BIN "/dewar-launch";
  auto filter = compile_seccomp("default");
  ASSERT_TRUE(filter) << filter.error().message();
  filter_ = std::move(filter).take();
}

void ContainerTest::TearDown() {
  if (folder_ != nullptr) {
    const auto swept = Container::sweep(spec_, 30000);
    EXPECT_TRUE(swept) << swept.error().message();
    EXPECT_FALSE(exists(spec_.root_folder));
    folder_.reset();
  }
  KernelTest::TearDown();
}

Container ContainerTest::make() {
  auto made = Container::create(spec_);
  if (!made) throw std::runtime_error(made.error().message());  // GoogleTest reports it and goes on to TearDown
  return std::move(made).take();
}

ContainerTest::Running ContainerTest::start(const Container& container, const std::string& script, uid_t uid,
                                            const std::function<void(AttemptRecipe&)>& change) {
  const std::string name = "attempt." + std::to_string(attempts_++);
  const auto leaf = container.cgroup().create_leaf(name);
  EXPECT_TRUE(leaf) << leaf.error().message();
  AttemptRecipe recipe;
  recipe.argv = {"/bin/bash", "-c", "exec 2>&1\n" + script};
  recipe.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + spec_.sandbox_folder};
  recipe.cwd = spec_.sandbox_folder;
  recipe.user.name = "someone";
  recipe.user.uid = uid + spec_.first_id;
  recipe.user.gid = uid + spec_.first_id;
  recipe.first_id = spec_.first_id;
  if (spec_.sandbox.landlock) recipe.writable = writable_places(spec_.sandbox, spec_.sandbox_folder);
  recipe.seccomp = filter_;
  recipe.unified_cgroup = leaf->unified();
  recipe.v1_cgroups = leaf->v1_folders();
  recipe.sweep_cgroup = leaf->sweep_folder();
  recipe.logs.folder = folder("logs/" + name);
  recipe.status_file = folder("attempts/" + name);
  EXPECT_TRUE(make_dirs(recipe.logs.folder));
  change(recipe);

  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  Spawn launch;
  launch.program = spec_.launcher;
  launch.argv = {"dewar-launch"};
  launch.fds = {-1, -1, STDERR_FILENO, read_end.get(), container.init().get()};
  const auto pid = spawn(launch);
  EXPECT_TRUE(pid) << pid.error().message();
  read_end.reset();
  EXPECT_TRUE(write_all(write_end.get(), encode_recipe(recipe), "the recipe"));
  return {*pid, *leaf, std::move(recipe)};
}

Ended ContainerTest::finish(Running running) {
  EXPECT_EQ(wait_for(running.launcher), 0);
  const auto status = last_status(slurp(running.recipe.status_file));
  EXPECT_TRUE(status && status->stage == AttemptStage::kEnded)
      << (status ? explain_step(status->step, status->error, status->detail) : "no status");
  EXPECT_TRUE(running.leaf.remove());
  return {status ? status->return_code : -1, slurp(running.recipe.logs.folder + "/stdout")};
}

}  // namespace dewar
