#include "tests/scenario/task_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <csignal>

#include "base/process.h"
#include "isolation/container.h"
#include "tests/support/wait_in.h"
#include "thermos/checkpoint.h"
#include "thermos/spec/reader.h"

namespace dewar {
namespace {

constexpr int kPatienceMs = 60000;

std::vector<std::string> cgroups_of(const RunnerSpec& spec) {
  std::vector<std::string> groups;
  if (!spec.cgroups.unified.empty()) groups.push_back(spec.cgroups.unified + "/" + spec.container_id);
  for (const auto& [controller, group] : spec.cgroups.v1) groups.push_back(group + "/" + spec.container_id);
  return groups;
}

}  // namespace

TaskRun::TaskRun(const std::string& yaml, Options options) : yaml_(yaml), options_(std::move(options)) {}

TaskRun::~TaskRun() {
  if (runner_ > 0) {
    const auto pidfd = open_child(runner_);
    if (pidfd && !has_ended(*pidfd)) {
      ADD_FAILURE() << "the test left its task running";
      (void)send_signal(*pidfd, SIGUSR2);
    }
    wait_exit();
  }
  if (spec_.run_folder.empty()) return;
  for (const std::string& group : cgroups_of(spec_)) {
    EXPECT_FALSE(exists(group)) << "left over: " << group;
    if (!exists(group)) continue;
    (void)Container::sweep(container_of(spec_), 5000);
  }
}

void TaskRun::prepare() {
  if (!spec_.run_folder.empty()) return;
  const TaskReading reading = read_task(yaml_);
  ASSERT_TRUE(reading.spec) << show_complaints("task.yaml", yaml_, reading.complaints);
  auto prepared = prepare_run(*reading.spec, {folder_.path(), options_.task_id, options_.user, options_.ports,
                                              options_.preserve_environment, 0});
  ASSERT_TRUE(prepared) << prepared.error().message();
  spec_ = std::move(prepared)->spec;
  if (!options_.change) return;
  options_.change(spec_);
  ASSERT_TRUE(replace_file(spec_.run_folder + "/runner.spec", encode_runner_spec(spec_)));
}

void TaskRun::start(std::vector<std::string> arguments) {
  prepare();
  ASSERT_FALSE(spec_.run_folder.empty());
  const auto console = [&](const char* name) {
    auto fd = open_file(spec_.run_folder + "/" + name, O_WRONLY | O_APPEND | O_CREAT);
    EXPECT_TRUE(fd);
    return std::move(fd).take();
  };
  const UniqueFd out = console("stdout"), err = console("stderr");
  Spawn runner;
  runner.program = std::string(DEWAR_BIN) + "/dewar-runner";
  runner.argv = {"dewar-runner"};
  runner.argv.insert(runner.argv.end(), arguments.begin(), arguments.end());
  runner.argv.push_back(spec_.run_folder);
  runner.fds = {-1, out.get(), err.get()};
  const auto pid = spawn(runner);
  ASSERT_TRUE(pid) << pid.error().message();
  runner_ = *pid;
  client_.reset();
  history_ = {};
}

/// Connects as soon as the runner listens. Its socket appears in the run folder; until then there is nothing to wait on
/// but the runner's own end, so ask again every few milliseconds. False: the runner ended before.
bool TaskRun::connect() {
  if (client_) return true;
  const auto pidfd = open_child(runner_);
  for (int left = kPatienceMs / 5; left > 0; --left) {
    if (auto connected = RunnerClient::connect(spec_.run_folder)) {
      client_ = std::move(connected).take();
      return static_cast<bool>(client_->subscribe());
    }
    pollfd end{pidfd ? pidfd->get() : -1, POLLIN, 0};
    if (::poll(&end, 1, 5) > 0) return false;
  }
  return false;
}

RunnerClient& TaskRun::client() {
  EXPECT_TRUE(connect()) << "the runner never listened; its log: " << runner_log();
  if (!client_) client_.emplace();
  return *client_;
}

/// What a runner that has ended has left: it may have been quicker than our connection.
void TaskRun::read_files() {
  if (const auto replayed = read_history(checkpoint_root(), spec_.task_id)) history_ = *replayed;
}

bool TaskRun::receive(int timeout_ms) {
  if (!connect()) {
    read_files();
    return false;
  }
  pollfd readable{client_->fd().get(), POLLIN, 0};
  if (::poll(&readable, 1, timeout_ms) <= 0) return false;
  std::vector<Record> records;
  const auto more = client_->receive(records);
  EXPECT_TRUE(more) << more.error().message();
  for (const Record& record : records) {
    const auto applied = history_.apply(record);
    EXPECT_TRUE(applied) << applied.error().message();
  }
  if (more && !*more && !history_.terminal()) read_files();
  return more && *more;
}

TaskHistory TaskRun::wait(const Wanted& wanted, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!wanted(history_)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !receive(static_cast<int>(left.count()))) {
      EXPECT_TRUE(wanted(history_)) << "waited in vain for " << what << "; the runner's log:\n" << runner_log();
      break;
    }
  }
  return history_;
}

TaskHistory TaskRun::wait_running(const std::string& process, int run) {
  return wait(
      [&](const TaskHistory& history) {
        const auto found = history.processes.find(process);
        return found != history.processes.end() && static_cast<int>(found->second.size()) > run &&
               found->second[static_cast<std::size_t>(run)].state == ProcessState::kRunning;
      },
      process + "#" + std::to_string(run) + " to run");
}

TaskHistory TaskRun::wait_end() {
  wait([](const TaskHistory& history) { return history.terminal(); }, "the task's end");
  if (!history_.terminal()) {
    const auto pidfd = open_child(runner_);
    if (pidfd) (void)send_signal(*pidfd, SIGUSR2);
  }
  while (receive(kPatienceMs)) {
  }
  EXPECT_EQ(wait_exit(), 0);
  const auto replayed = read_history(checkpoint_root(), spec_.task_id);
  EXPECT_TRUE(replayed);
  if (replayed) {
    EXPECT_EQ(states_of(*replayed), states_of(history_));
    for (const auto& [process, runs] : replayed->processes)
      EXPECT_EQ(runs_of(*replayed, process), runs_of(history_, process));
  }
  return history_;
}

TaskHistory TaskRun::run() {
  start();
  return wait_end();
}

bool TaskRun::wait_file(const std::string& name) const {
  const std::string path = sandbox() + "/" + name;
  if (wait_in(parent_of(path), [&] { return exists(path); })) return true;
  ADD_FAILURE() << "waited in vain for " << name << "; the runner's log:\n" << runner_log();
  return false;
}

int TaskRun::wait_exit() {
  int status = 0;
  EXPECT_EQ(::waitpid(runner_, &status, 0), runner_);
  runner_ = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

std::string TaskRun::output(const std::string& process, int run, const std::string& stream) const {
  const auto text =
      read_file(spec_.run_folder + "/.logs/" + process + "/" + std::to_string(run) + "/" + stream, 1u << 30);
  return text ? *text : "<" + text.error().message() + ">";
}

std::string TaskRun::runner_log() const {
  const auto text = read_file(spec_.run_folder + "/runner.log");
  return text ? *text : text.error().message();
}

ContainerSpec container_of(const RunnerSpec& spec) {
  ContainerSpec container;
  container.id = spec.container_id;
  container.cgroups = spec.cgroups;
  container.root_folder = spec.run_folder + "/rootfs";
  return container;
}

std::string runs_of(const TaskHistory& history, const std::string& process) {
  std::string states;
  const auto found = history.processes.find(process);
  if (found == history.processes.end()) return "absent";
  for (const RunHistory& run : found->second) states += (states.empty() ? "" : " ") + std::string(to_string(run.state));
  return states;
}

std::string states_of(const TaskHistory& history) {
  std::string states;
  for (const TaskRecord& record : history.statuses)
    states += (states.empty() ? "" : " ") + std::string(to_string(record.state));
  return states;
}

}  // namespace dewar
