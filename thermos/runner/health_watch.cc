#include "thermos/runner/health_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/pipe.h"
#include "isolation/attempt_status.h"
#include "isolation/launch_info.h"
#include "thermos/explain/health_words.h"
#include "thermos/runner/attempt.h"

namespace dewar {
namespace {

constexpr const char* kLeaf = "check";  // no run's: those have a dot in their names
constexpr const char* kKind = "health";
constexpr auto kShortestWait = std::chrono::milliseconds(100);
constexpr auto kLongestTimeout = std::chrono::hours(24);
constexpr auto kLaunchTime = std::chrono::seconds(10);  // from which a check's own time is told apart
constexpr auto kProbeSlack = std::chrono::seconds(1);   // a probe ends by itself, with better words
constexpr std::size_t kOutputKept = 4096;
constexpr int kEndMs = 2000;

Duration timeout_of(const HealthCheck& check) { return std::min<Duration>(check.timeout, kLongestTimeout); }

std::int64_t port_of(const RunnerSpec& spec) {
  const auto port = spec.ports.find("health");
  return port == spec.ports.end() ? 0 : port->second;
}

/// Thermos's: while it is there, all is well.
bool is_snoozed(const RunnerSpec& spec) {
  struct stat info {};
  return ::lstat((spec.run_folder + "/sandbox/.healthchecksnooze").c_str(), &info) == 0;
}

}  // namespace

HealthWatch::HealthWatch(const WatchContext& context)
    : context_(context),
      check_(*context.spec.health),
      port_(port_of(context.spec)),
      rules_(rules_of(check_)),
      status_file_(context.spec.run_folder + "/check") {
  const ProcessId sandbox = context_.container.init_id();
  if (auto known = read_health(context_.spec.run_folder); known && known->sandbox == sandbox) {
    record_ = std::move(known).take();
    // A check may have been begun just before its runner died, and have told nothing yet.
    timer_ = context_.loop.at(context_.clock.now() + kShortestWait, [this] { check(); });
    return;
  }
  record_.sandbox = sandbox;
  ::unlink(status_file_.c_str());
  timer_ = context_.loop.at(context_.clock.now(), [this] { check(); });
}

HealthWatch::~HealthWatch() { stop(); }

void HealthWatch::stop() {
  context_.loop.cancel(timer_);
  timer_ = 0;
  if (!running_) return;
  if (leaf_) (void)leaf_->kill_all(0);
  pollfd ended{running_->launcher.get(), POLLIN, 0};
  retry_eintr([&] { return ::poll(&ended, 1, kEndMs); });
  forget_check();
}

/// The descriptors of the check that has ended, its status file and its leaf, which the next one makes anew: once
/// cgroup.kill was written, some kernels kill whatever is born in a group.
void HealthWatch::forget_check() {
  if (running_->pipe) context_.loop.unwatch(running_->pipe.get());
  if (running_->launcher) {
    context_.loop.unwatch(running_->launcher.get());
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(running_->launcher.get()), &info, WEXITED | WNOHANG);  // ECHILD: another's
  }
  ::unlink(status_file_.c_str());
  if (leaf_) (void)leaf_->remove();
  leaf_.reset();
  running_.reset();
}

void HealthWatch::check() {
  if (take_over()) return;
  if (!begin_check(rules_, record_.state)) return count({});
  if (is_snoozed(context_.spec)) return count({context_.clock.wall(), true, {}, "snoozed"});
  if (auto launched = launch(); !launched) {
    --record_.state.checks;
    tell_trouble(launched.error().message());
    wait();
  }
}

/// Goes on with a check that an earlier runner has begun.
bool HealthWatch::take_over() {
  const auto content = read_file(status_file_);
  const auto status = content ? last_status(*content) : std::nullopt;
  if (!status) return false;
  if (!begin_check(rules_, record_.state)) return false;
  if (auto leaf = context_.container.cgroup().find_leaf(kLeaf)) leaf_ = std::move(leaf).take();
  Running running;
  if (auto launcher = open_process(status->launcher)) running.launcher = std::move(launcher).take();
  watch(std::move(running));
  return true;
}

Result<void> HealthWatch::launch() {
  const RunnerSpec& spec = context_.spec;
  const Cgroup& task = context_.container.cgroup();
  if (auto old = task.find_leaf(kLeaf)) {  // an earlier runner's, or something in it did not die
    (void)old->kill_all(0);
    DEWAR_TRY(old->remove());
  }
  leaf_ = DEWAR_TRY(task.create_leaf(kLeaf));
  AttemptRecipe recipe = task_recipe(spec);
  if (check_.shell_command) {
    recipe.argv = {spec.shell, "-c", *check_.shell_command};
  } else {
    recipe.probe = HttpProbe{static_cast<std::uint16_t>(port_), check_.http.endpoint, check_.http.expected_response,
                             check_.http.expected_response_code, timeout_of(check_)};
  }
  recipe.unified_cgroup = leaf_->unified();
  recipe.v1_cgroups = leaf_->v1_folders();
  recipe.sweep_cgroup = leaf_->sweep_folder();
  recipe.logs.policy.destination = LogDestination::kConsole;
  recipe.status_file = status_file_;

  const UniqueFd input = DEWAR_TRY(pipe_holding(encode_recipe(recipe), "the recipe"));
  Pipe output = DEWAR_TRY(make_pipe());
  if (::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("make a pipe");
  Spawn launcher;
  launcher.program = spec.launcher;
  launcher.argv = {"dewar-launch", spec.task_id + " health check"};
  launcher.fds = {-1, output.writer.get(), output.writer.get(), input.get(), context_.container.init().get()};
  launcher.new_group = true;
  Running running;
  const pid_t pid = DEWAR_TRY(spawn(launcher));
  running.launcher = DEWAR_TRY(open_child(pid));
  running.pipe = std::move(output.reader);
  watch(std::move(running));
  return {};
}

void HealthWatch::watch(Running running) {
  running.begun = context_.clock.now();
  running_ = std::move(running);
  EventLoop& loop = context_.loop;
  if (running_->pipe) (void)loop.watch(running_->pipe.get(), [this] { read_output(); });
  const bool lives = running_->launcher && loop.watch(running_->launcher.get(), [this] { check_ended(); });
  timer_ = lives ? loop.at(running_->begun + timeout_of(check_), [this] { look_at_time(); })
                 : loop.at(running_->begun, [this] { check_ended(); });
}

/// All of it is read, so that nobody waits who writes much; the beginning is kept.
void HealthWatch::read_output() {
  char buffer[65536];
  const ssize_t size = ::read(running_->pipe.get(), buffer, sizeof buffer);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return context_.loop.unwatch(running_->pipe.get());
  const std::size_t room = kOutputKept - running_->output.size();
  running_->output.append(buffer, std::min(room, static_cast<std::size_t>(size)));
}

/// A check's time begins when its program does: on a busy host a launch takes longer than it should.
void HealthWatch::look_at_time() {
  const Time now = context_.clock.now();
  const Duration whole = now - running_->begun;
  const Duration allowed = timeout_of(check_) + (check_.shell_command ? Duration{} : kProbeSlack);
  const auto content = read_file(status_file_);
  const auto status = content ? last_status(*content) : std::nullopt;
  Duration used{};
  if (status && status->start_time > 0) {
    const std::chrono::duration<double> since(context_.clock.wall() - status->start_time);
    used = std::clamp(std::chrono::duration_cast<Duration>(since), Duration{}, whole);
  }
  const Duration left = std::min<Duration>(allowed - used, allowed + kLaunchTime - whole);
  if (left > Duration{}) {
    timer_ = context_.loop.at(now + left, [this] { look_at_time(); });
    return;
  }
  running_->late = true;
  if (leaf_) (void)leaf_->kill_all(0);  // its launcher sees to it that nothing is left
}

void HealthWatch::check_ended() {
  context_.loop.cancel(timer_);
  if (running_->pipe) read_output();
  const auto content = read_file(status_file_);
  const auto status = content ? last_status(*content) : std::nullopt;
  const bool late = running_->late;
  const std::string output = std::move(running_->output);
  forget_check();
  if (status && (status->stage == AttemptStage::kEnded || status->stage == AttemptStage::kRefused))
    return count(outcome_of(check_, *status, output, late));
  --record_.state.checks;  // nobody knows what came of it
  tell_trouble("its launcher died" + (output.empty() ? "" : ": " + one_line(output, 200)));
  wait();
}

/// Written down first. The end of the task comes back to us as task_ending().
void HealthWatch::count(CheckOutcome outcome) {
  const TaskHealth before = record_.state.health;
  if (!is_final(before)) {
    trouble_.clear();
    end_check(rules_, record_.state, outcome.passed);
    record_.add(std::move(outcome));
  }
  if (auto written = write_health(context_.spec.run_folder, record_); !written) tell_trouble(written.error().message());
  if (is_final(record_.state.health)) {
    const std::string words = unhealthy_words(check_, port_, record_);
    return context_.end_task(words, {0, kKind, "", 0, words, health_details(check_, port_, record_)});
  }
  if (record_.state.health != before) context_.tell({0, kKind, "", 0, healthy_words(record_.state)});
  wait();
}

void HealthWatch::wait() {
  const Duration interval = std::clamp<Duration>(check_.interval, kShortestWait, kLongestTimeout);
  timer_ = context_.loop.at(context_.clock.now() + interval, [this] { check(); });
}

/// What keeps us from checking is nothing that the task has done: it is told, and does not count.
void HealthWatch::tell_trouble(const std::string& words) {
  if (words != trouble_) context_.tell({0, kKind, "", 0, "the task's health could not be checked: " + words});
  trouble_ = words;
}

}  // namespace dewar
