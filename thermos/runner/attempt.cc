#include "thermos/runner/attempt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/files.h"
#include "fetcher/request.h"
#include "isolation/launch_info.h"
#include "isolation/log_pipe.h"
#include "isolation/root.h"

namespace dewar {
namespace {

constexpr int kSweepTimeoutMs = 5000;

/// A cgroup's name: the process's, if that is plain; otherwise its place in the task. Unique either way.
std::string leaf_stem(const RunnerSpec& spec, const std::string& process) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  std::string name = process;
  if (name.size() > 100 || name.find_first_not_of(kPlain) != std::string::npos) {
    std::size_t place = 0;
    while (place < spec.plan.processes.size() && spec.plan.processes[place].name != process) ++place;
    name = "process." + std::to_string(place);
  }
  return name;
}

std::string leaf_name(const RunnerSpec& spec, const std::string& process, int run) {
  return leaf_stem(spec, process) + "." + std::to_string(run);
}

std::string sandbox_of(const RunnerSpec& spec) { return spec.run_folder + "/sandbox"; }

/// Thermos's environment: HOME, LOGNAME, USER, PATH, and BASH_ENV once an earlier process has left a profile.
std::vector<std::string> environment_of(const RunnerSpec& spec) {
  const std::string sandbox = sandbox_of(spec);
  std::map<std::string, std::string> variables;
  for (const std::string& entry : spec.preserved_environment) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string::npos) variables[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  variables["HOME"] = sandbox;
  variables["LOGNAME"] = variables["USER"] = spec.user.name;
  variables["PATH"] = spec.path;
  if (exists(sandbox + "/.thermos_profile")) variables["BASH_ENV"] = sandbox + "/.thermos_profile";
  for (const auto& [name, value] : spec.sandbox.environment) variables[name] = value;
  std::vector<std::string> list;
  for (const auto& [name, value] : variables) list.push_back(name + "=" + value);
  return list;
}

/// An earlier runner may have died between making the leaf and writing FORKED; then nothing has ever run in it.
Result<Cgroup> make_leaf(const Cgroup& task, const std::string& name) {
  auto made = task.create_leaf(name);
  if (made || made.error().code != std::errc::file_exists) return made;
  Cgroup old = DEWAR_TRY(task.find_leaf(name));
  DEWAR_TRY(old.kill_all(kSweepTimeoutMs));
  DEWAR_TRY(old.remove());
  return task.create_leaf(name);
}

/// dewar-fetch begins with the rights it needs to keep the cache and to become the task's user, and to nothing of the
/// task's own; what it starts to read foreign bytes gives up all of them.
void be_fetcher(const RunnerSpec& spec, const ProcessSpec& process, int run, AttemptRecipe& recipe) {
  recipe.on_host = true;
  recipe.argv = {spec.fetcher, fetch_file(spec.run_folder, process.name, "request"), std::to_string(run)};
  recipe.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  recipe.cwd = spec.run_folder;
  recipe.user = {"root", 0, 0, {}};
  recipe.capabilities = kFetchCapabilities;
}

constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

bool keeps_files(const LogPolicy& policy) {
  return policy.destination == LogDestination::kFile || policy.destination == LogDestination::kBoth;
}

LogRecipe log_recipe(const RunnerSpec& spec, const ProcessSpec& process, int run) {
  LogRecipe logs;
  logs.policy = process.logger.value_or(spec.plan.logger);
  logs.folder = log_folder(spec, process.name, run);
  logs.quota = spec.sandbox.disk.logs;
  if (logs.quota > 0) logs.counter = log_counter(spec);
  logs.host_quota = spec.log_quota;
  if (logs.host_quota > 0) logs.host_counter = host_log_counter(spec);
  if (logs.policy.mode == LogMode::kRotate && logs.policy.compress) logs.compressor = spec.compressor;
  if (logs.policy.journald) {
    logs.journal = kJournalSocket;
    logs.journal_fields = "TASK=" + spec.task_id + "\nPROCESS=" + process.name + "\nRUN=" + std::to_string(run) +
                          "\nSYSLOG_IDENTIFIER=" + process.name + "\n";
  }
  return logs;
}

AttemptRecipe make_recipe(const RunnerSpec& spec, const ProcessSpec& process, int run, const Cgroup& leaf) {
  AttemptRecipe recipe;
  if (process.fetch.empty()) {
    recipe = task_recipe(spec);
    recipe.argv = {spec.shell, "-c", process.cmdline};
  } else {
    be_fetcher(spec, process, run, recipe);
  }
  recipe.unified_cgroup = leaf.unified();
  recipe.v1_cgroups = leaf.v1_folders();
  recipe.sweep_cgroup = leaf.sweep_folder();
  recipe.logs = log_recipe(spec, process, run);
  recipe.has_pipes = keeps_files(recipe.logs.policy);
  recipe.status_file = status_file(spec, process.name, run);
  recipe.bell = launchers_bell(spec);
  return recipe;
}

}  // namespace

AttemptRecipe task_recipe(const RunnerSpec& spec) {
  AttemptRecipe recipe;
  recipe.env = environment_of(spec);
  recipe.cwd = sandbox_of(spec);
  recipe.user = spec.user;
  recipe.capabilities = spec.capabilities;
  recipe.first_id = spec.first_id;
  recipe.rlimits = spec.sandbox.rlimits;
  if (spec.sandbox.landlock) recipe.writable = writable_places(spec.sandbox, sandbox_of(spec));
  recipe.oom_score_adj = spec.sandbox.oom_score_adj;
  recipe.deny_speculation = spec.sandbox.deny_speculation;
  recipe.seccomp = spec.seccomp;
  return recipe;
}

std::string log_folder(const RunnerSpec& spec, const std::string& process, int run) {
  return spec.run_folder + "/.logs/" + process + "/" + std::to_string(run);
}

std::string log_counter(const RunnerSpec& spec) { return spec.run_folder + "/log.used"; }

std::string status_file(const RunnerSpec& spec, const std::string& process, int run) {
  return spec.run_folder + "/attempts/" + process + "." + std::to_string(run);
}

std::string launchers_bell(const RunnerSpec& spec) { return spec.run_folder + "/bell"; }

std::string process_of_leaf(const RunnerSpec& spec, const std::string& leaf) {
  const std::string stem = leaf.substr(0, leaf.rfind('.'));
  for (const ProcessSpec& process : spec.plan.processes) {
    if (leaf != stem && leaf_stem(spec, process.name) == stem) return process.name;
  }
  return "";
}

Spawn Attempt::launcher_for(const RunnerSpec& spec, const Attempt& attempt, const UniqueFd& recipe, int second) {
  Spawn launcher;
  launcher.program = spec.launcher;
  launcher.argv = {"dewar-launch", spec.task_id + "/" + attempt.process_ + "#" + std::to_string(attempt.run_)};
  launcher.fds = {-1, STDOUT_FILENO, STDERR_FILENO, recipe.get(), second};
  launcher.new_group = true;
  return launcher;
}

Result<Attempt> Attempt::start(const RunnerSpec& spec, const Container& container, const ProcessSpec& process,
                               int run) {
  Attempt attempt;
  attempt.process_ = process.name;
  attempt.run_ = run;
  attempt.status_file_ = status_file(spec, process.name, run);
  Pipe pipe = DEWAR_TRY(make_pipe());
  attempt.recipe_pipe_ = std::move(pipe.writer);
  Spawn launcher = launcher_for(spec, attempt, pipe.reader, container.init().get());
  Pipe out, err;
  if (keeps_files(process.logger.value_or(spec.plan.logger))) {
    out = DEWAR_TRY(make_log_pipe());
    err = DEWAR_TRY(make_log_pipe());
    for (const UniqueFd* end : {&out.reader, &err.reader, &out.writer, &err.writer}) launcher.fds.push_back(end->get());
    attempt.output_[0] = std::move(out.reader);
    attempt.output_[1] = std::move(err.reader);
  }
  const pid_t pid = DEWAR_TRY(spawn(launcher));
  // It takes as long to start as the rest takes to be made.
  if (auto made = attempt.make(spec, container, process, pid); !made) {
    attempt.recipe_pipe_.reset();  // without a recipe it does nothing
    retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
    return Failure{std::move(made).error()};
  }
  return attempt;
}

/// All that a run has of its own, and the recipe that names it.
Result<void> Attempt::make(const RunnerSpec& spec, const Container& container, const ProcessSpec& process,
                           pid_t launcher) {
  pidfd_ = DEWAR_TRY(open_child(launcher));
  launcher_ = DEWAR_TRY(identify(launcher));
  DEWAR_TRY(make_dirs(log_folder(spec, process.name, run_)));
  leaf_ = DEWAR_TRY(make_leaf(container.cgroup(), leaf_name(spec, process.name, run_)));
  AttemptRecipe recipe = make_recipe(spec, process, run_, *leaf_);
  recipe.launcher = launcher_;
  recipe_ = encode_recipe(recipe);
  const int size = static_cast<int>(recipe_.size());
  if (size > 65536 && ::fcntl(recipe_pipe_.get(), F_SETPIPE_SZ, size) < 0) return fail_errno("widen the recipe's pipe");
  return {};
}

Attempt Attempt::adopt(const RunnerSpec& spec, const Container& container, const ProcessSpec& process, int run,
                       const RunHistory& history) {
  Attempt attempt;
  attempt.process_ = process.name;
  attempt.run_ = run;
  attempt.status_file_ = status_file(spec, process.name, run);
  attempt.running_told_ = history.state == ProcessState::kRunning;
  attempt.launcher_ = {history.coordinator_pid.value_or(0), history.coordinator_start.value_or(0)};
  if (auto pidfd = open_process(attempt.launcher_)) attempt.pidfd_ = std::move(pidfd).take();
  if (attempt.pidfd_ && keeps_files(process.logger.value_or(spec.plan.logger))) attempt.take_output();
  if (auto leaf = container.cgroup().find_leaf(leaf_name(spec, process.name, run)))
    attempt.leaf_ = std::move(leaf).take();
  return attempt;
}

/// The ends that read from the pipes, from the launcher that has them. Without CAP_SYS_PTRACE it cannot be had.
void Attempt::take_output() {
  for (const int stream : {0, 1}) {
    UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd_.get(), kReadEnds[stream], 0)));
    struct stat info {};
    if (end && ::fstat(end.get(), &info) == 0 && S_ISFIFO(info.st_mode)) output_[stream] = std::move(end);
  }
}

Result<bool> Attempt::succeed_launcher(const RunnerSpec& spec, const ProcessSpec& process,
                                       const std::optional<AttemptStatus>& told) {
  const bool has_told_end = !told || told->stage == AttemptStage::kEnded || told->stage == AttemptStage::kRefused;
  if (succeeded_ || has_told_end || !keeps_files(process.logger.value_or(spec.plan.logger))) return false;
  succeeded_ = true;
  reap();
  if (leaf_) (void)leaf_->kill_all(kSweepTimeoutMs);  // or they would go on writing
  const bool has_pipes = output_[0] && output_[1];
  const std::string recipe = encode_recipe(DrainRecipe{log_recipe(spec, process, run_), status_file_, has_pipes});
  Pipe pipe = DEWAR_TRY(make_pipe());
  DEWAR_TRY(write_all(pipe.writer.get(), recipe, "recipe"));  // fits a pipe
  pipe.writer.reset();
  Spawn launcher = launcher_for(spec, *this, pipe.reader, -1);
  if (has_pipes) launcher.fds.insert(launcher.fds.end(), {output_[0].get(), output_[1].get()});
  const pid_t pid = DEWAR_TRY(spawn(launcher));
  pidfd_ = DEWAR_TRY(open_child(pid));
  output_[0].reset(), output_[1].reset();
  return true;
}

void Attempt::reap() {
  siginfo_t info{};
  if (pidfd_) ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);  // ECHILD: another's child
}

Result<void> Attempt::go() {
  auto sent = write_all(recipe_pipe_.get(), recipe_, "recipe");
  recipe_pipe_.reset();
  recipe_ = {};
  return sent;
}

std::optional<AttemptStatus> Attempt::status() const {
  const auto content = read_file(status_file_);
  if (!content) return std::nullopt;
  auto status = last_status(*content);
  // A file of another launcher's (the checkpoint was damaged and this run begun anew) says nothing about this one.
  if (!status || status->launcher != launcher_) return std::nullopt;
  return status;
}

void Attempt::signal(int signal) {
  if (!running_told_) pending_signal_ = pending_signal_ == SIGKILL ? SIGKILL : signal;
  // The launcher first: it shall not kill at once what outlives the main process (isolation/launch_info.h).
  if (running_told_ && signal != SIGKILL && pidfd_) (void)send_signal(pidfd_, SIGUSR1);
  if (leaf_) (void)leaf_->signal_all(signal);
}

void Attempt::deliver() {
  running_told_ = true;
  if (pending_signal_ != 0) signal(pending_signal_);
  pending_signal_ = 0;
}

void Attempt::clear(const std::optional<AttemptStatus>& told) {
  reap();
  if (!leaf_) return;
  // What the launcher could not kill either is stuck: then the loop does not wait for it once more.
  const bool stuck = told && told->stage == AttemptStage::kEnded && !told->step.empty();
  (void)leaf_->kill_all(stuck ? 0 : kSweepTimeoutMs);
}

void Attempt::remove_leaf() {
  if (leaf_) (void)leaf_->remove();
}

}  // namespace dewar
