#include "tests/launch/launch_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "base/pipe.h"

namespace dewar::testing {
namespace {

std::string unified_root() {
  if (exists("/sys/fs/cgroup/cgroup.controllers")) return "/sys/fs/cgroup";
  return exists("/sys/fs/cgroup/unified/cgroup.procs") ? "/sys/fs/cgroup/unified" : "";
}

void kill_group(const std::string& folder) {
  // Killed one by one if the kernel has no cgroup.kill; rmdir succeeds once the last one is gone.
  for (int round = 0; round < 500; ++round) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return;
    if (UniqueFd kill(::open((folder + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)); kill) {
      (void)!::write(kill.get(), "1", 1);
    } else if (const auto procs = read_file(folder + "/cgroup.procs")) {
      for (const char* at = procs->c_str(); *at != '\0'; at = at + std::string_view(at).find('\n') + 1)
        ::kill(std::atoi(at), SIGKILL);
    }
    ::poll(nullptr, 0, 10);
  }
  ADD_FAILURE() << folder << " does not get empty";
}

}  // namespace

std::string slurp(const std::string& path) {
  auto text = read_file(path, 1u << 30);
  return text ? std::move(text).take() : "";
}

pid_t start_launcher(const std::string& bytes, const Descriptors& given, int cgroup, std::uint64_t namespaces) {
  Pipe recipe = make_pipe().take();
  const auto pid = spawn({.program = DEWAR_BIN "/dewar-launch",
                          .argv = {"dewar-launch"},
                          .env = {},
                          .fds = {-1, given.out, given.err, recipe.reader.get(), given.second},
                          .new_session = false,
                          .new_group = true,
                          .cgroup = cgroup,
                          .namespaces = namespaces});
  EXPECT_TRUE(pid) << pid.error().message();
  recipe.reader.reset();
  (void)write_all(recipe.writer.get(), bytes, "recipe");
  return *pid;
}

void LaunchTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  char name[] = "/var/tmp/dewar-launch-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  scratch_ = name;
  ::chmod(name, 0755);
  for (const char* folder : {"/root", "/sandbox", "/logs", "/attempts"}) {
    ASSERT_TRUE(make_dirs(scratch_ + folder));
  }
  const std::string group =
      "/dewar-test-" + std::to_string(::getpid()) + "-" + scratch_.substr(scratch_.rfind('-') + 1);
  if (!unified_root().empty()) {
    unified_ = unified_root() + group;
    ASSERT_TRUE(make_dirs(unified_));
    cgroups_.push_back(unified_);
    cgroups_.push_back(unified_ + "/init");
    ASSERT_TRUE(make_dirs(unified_ + "/init"));
  }
  if (exists("/sys/fs/cgroup/pids/tasks")) {
    v1_ = "/sys/fs/cgroup/pids" + group;
    ASSERT_TRUE(make_dirs(v1_));
    cgroups_.push_back(v1_);
  }
}

void LaunchTest::TearDown() {
  if (init_) (void)send_signal(init_, SIGKILL);
  while (!cgroups_.empty()) {
    kill_group(cgroups_.back());
    cgroups_.pop_back();
  }
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  const auto removed = remove_tree(scratch_);
  EXPECT_TRUE(removed) << removed.error().message();
}

std::string LaunchTest::new_leaf(const std::string& parent) {
  if (parent.empty()) return "";
  std::string leaf = parent + "/leaf" + std::to_string(attempts_);
  EXPECT_TRUE(make_dirs(leaf));
  cgroups_.push_back(leaf);
  return leaf;
}

std::string LaunchTest::v1_leaf() { return new_leaf(v1_); }

ContainerRecipe LaunchTest::container_recipe() const {
  ContainerRecipe recipe;
  recipe.root = scratch_ + "/root";
  for (const char* folder : {"/usr", "/bin", "/lib", "/lib64", "/etc"}) {
    recipe.mounts.push_back({MountKind::kBind, folder, folder, "", true, true, false});
  }
  recipe.mounts.push_back({MountKind::kProc, "", "/proc", "", false, false, false});
  recipe.mounts.push_back({MountKind::kTmpfs, "", "/tmp", "mode=1777", false, false, false});
  recipe.mounts.push_back({MountKind::kTmpfs, "", "/dev", "mode=0755", true, false, false});
  for (const char* node : {"/dev/null", "/dev/zero", "/dev/urandom"}) {
    recipe.mounts.push_back({MountKind::kBind, node, node, "", false, false, true});
  }
  recipe.mounts.push_back({MountKind::kBind, scratch_ + "/sandbox", "/sandbox", "", false, false, false});
  recipe.hostname = "flask";
  if (!v1_.empty()) recipe.v1_cgroups = {v1_};
  return recipe;
}

LaunchReport LaunchTest::launch(const ContainerRecipe& recipe) {
  Pipe answer = make_pipe().take();
  const UniqueFd birthplace(unified_.empty() ? -1 : ::open((unified_ + "/init").c_str(), O_PATH | O_CLOEXEC));
  const std::uint64_t network = recipe.network == Network::kHost ? 0 : CLONE_NEWNET;
  const pid_t pid = start_launcher(encode_recipe(recipe), {answer.writer.get()}, birthplace.get(),
                                   CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | network);
  answer.writer.reset();
  const auto bytes = read_all(answer.reader.get(), "answer");
  const auto report = decode_report(*bytes);
  EXPECT_TRUE(report) << "no whole report";
  if (!report) return {};
  if (!report->step.empty()) {
    EXPECT_EQ(wait_for_launcher(pid), 1);
    return *report;
  }
  const auto id = identify(pid);
  auto opened = open_child(pid);
  EXPECT_TRUE(id && opened);
  if (id && opened) init_id_ = *id, init_ = std::move(opened).take();
  return *report;
}

void LaunchTest::make_container() {
  const LaunchReport report = launch(container_recipe());
  ASSERT_TRUE(report.step.empty()) << explain_step(report.step, report.error, report.detail);
}

AttemptRecipe LaunchTest::attempt_recipe(const std::string& script) {
  const std::string number = std::to_string(++attempts_);
  AttemptRecipe recipe;
  recipe.argv = {"/bin/bash", "-c", script};
  recipe.env = {"PATH=/usr/bin:/bin"};
  recipe.cwd = "/sandbox";
  recipe.user.name = "root";
  recipe.unified_cgroup = new_leaf(unified_);
  if (!v1_.empty()) recipe.v1_cgroups = {v1_};
  recipe.sweep_cgroup = recipe.unified_cgroup;
  if (recipe.sweep_cgroup.empty()) {
    recipe.sweep_cgroup = v1_leaf();
    recipe.v1_cgroups = {recipe.sweep_cgroup};
  }
  recipe.logs.folder = scratch_ + "/logs/" + number;
  EXPECT_TRUE(make_dirs(recipe.logs.folder));
  recipe.status_file = scratch_ + "/attempts/" + number;
  return recipe;
}

pid_t LaunchTest::start(const AttemptRecipe& recipe, int out, int err) {
  return start_launcher(encode_recipe(recipe), {init_.get(), out, err});
}

AttemptStatus LaunchTest::run(const AttemptRecipe& recipe) {
  EXPECT_EQ(wait_for_launcher(start(recipe)), 0);
  const auto status = status_of(recipe);
  EXPECT_TRUE(status) << "no status";
  return status.value_or(AttemptStatus{});
}

int LaunchTest::wait_for_launcher(pid_t pid) {
  int status = -1;
  retry_eintr([&] { return ::waitpid(pid, &status, 0); });
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

AttemptStatus LaunchTest::wait_for_stage(const AttemptRecipe& recipe, AttemptStage stage) {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC));
  ::inotify_add_watch(watch.get(), (scratch_ + "/attempts").c_str(), IN_MODIFY | IN_CREATE);
  for (;;) {
    if (const auto status = status_of(recipe); status && status->stage >= stage) return *status;
    char events[4096];
    (void)!::read(watch.get(), events, sizeof events);
  }
}

std::optional<AttemptStatus> LaunchTest::status_of(const AttemptRecipe& recipe) const {
  return last_status(slurp(recipe.status_file));
}

std::string LaunchTest::log(const std::string& name) const {
  return slurp(scratch_ + "/logs/" + std::to_string(attempts_) + "/" + name);
}

std::vector<std::string> LaunchTest::logs() const {
  const auto names = list_dir(scratch_ + "/logs/" + std::to_string(attempts_));
  return names ? *names : std::vector<std::string>{};
}

}  // namespace dewar::testing
