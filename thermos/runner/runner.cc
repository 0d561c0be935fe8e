#include "thermos/runner/runner.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/files.h"
#include "thermos/runner/container_spec.h"
#include "thermos/runner/end_of_run.h"
#include "thermos/runner/parked.h"
#include "thermos/runner/port_watch.h"

namespace dewar {
namespace {

constexpr int kSweepTimeoutMs = 10000;
constexpr auto kLongestKill = std::chrono::seconds(60);  // Thermos's preemption wait
constexpr auto kRetryWrite = std::chrono::seconds(1);

}  // namespace

Runner::Runner(RunnerSpec spec, RunnerOptions options)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      log_(spec_.run_folder + "/runner.log"),
      events_(spec_.run_folder),
      control_(
          loop_,
          {[this] {
             auto bytes = read_file(spec_.run_folder + "/checkpoints/checkpoints/" + spec_.task_id + "/runner");
             std::string all = bytes ? std::move(bytes).take() : std::string{};
             for (const Record& record : unwritten_) all += framed(encode_record(record));
             for (const EventRecord& event : read_events(spec_.run_folder)) all += framed(encode_record(event));
             return all;
           },
           [this](std::optional<Duration> wait, const std::string& who) { kill_task(wait, "on request by " + who); },
           [this](const std::string& who) {
             machine_.kill(Duration{0}, TaskState::kLost, "lost on request by " + who);
           },
           [this] {
             if (usage_) usage_->tell_all();
           },
           [this](const std::string& words) { return change_limits(words); }}),
      machine_(spec_.plan, clock_, *this) {}

RunnerExit Runner::fail_with(RunnerExit code, const std::string& words) const {
  log_.line(words);
  const std::string line = "dewar-runner: " + words + "\n";
  (void)write_all(STDERR_FILENO, line, "standard error");
  return code;
}

RunnerExit Runner::run() {
  if (!options_.unprotected.empty()) log_.line("not spared when the host runs out of memory: " + options_.unprotected);
  if (!spec_.user_found)
    return fail_with(RunnerExit::kNoUser, "there is no user '" + spec_.user.name + "' on this host");
  for (const std::string& port : spec_.required_ports)
    if (!spec_.ports.contains(port)) return fail_with(RunnerExit::kInternal, "port '" + port + "' has no number");

  auto checkpoint = Checkpoint::open(spec_.run_folder + "/checkpoints", spec_.task_id, spec_.task_json, options_.force);
  if (!checkpoint) {
    const bool other = checkpoint.error().code == std::errc::file_exists;
    return fail_with(other ? RunnerExit::kInvalidTask : RunnerExit::kInternal, checkpoint.error().message());
  }
  checkpoint_ = std::move(checkpoint).take();
  for (const std::string& repair : checkpoint_->repairs()) log_.line(repair);
  const TaskHistory history = checkpoint_->history();
  if (history.terminal()) {
    (void)checkpoint_->finish();  // in case an earlier runner was killed between the two
    clean_up();
    return fail_with(RunnerExit::kTerminal, "the task has ended already: " + std::string(to_string(history.state())));
  }
  if (!history.empty())
    if (auto resumed = machine_.resume(history); !resumed)
      return fail_with(RunnerExit::kInvalidTask, resumed.error().message());

  if (auto boot = boot_id()) boot_id_ = std::move(boot).take();
  if (auto ready = watch_everything(); !ready) return fail_with(RunnerExit::kInternal, ready.error().message());
  const auto opened = open_container(history);
  machine_.start(header(), ::getpid(), ::getuid(), boot_id_);
  if (!opened) {
    log_.line(opened.error().message());
    machine_.sandbox_lost(opened.error().message());
  }
  adopt_runs(history);
  if (options_.kill) kill_task(std::nullopt, "on request, by the runner that took the task over");
  if (!done_)
    if (auto ran = loop_.run(); !ran) return fail_with(RunnerExit::kUnknown, ran.error().message());
  clean_up();
  return RunnerExit::kDone;
}

// ---- Starting and taking over ----

Result<void> Runner::watch_everything() {
  DEWAR_TRY(watch_signals());
  DEWAR_TRY(watch_launchers());
  DEWAR_TRY(control_.listen(spec_.run_folder));
  return options_.client < 0 ? Result<void>{} : control_.serve(UniqueFd(options_.client));
}

Result<void> Runner::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno("watch signals");
  return loop_.watch(signals_.get(), [this] {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
    const std::string sender = " by process " + std::to_string(info.ssi_pid);
    if (info.ssi_signo == SIGUSR2) {
      machine_.kill(Duration{0}, TaskState::kLost, "lost on request: SIGUSR2 to its runner" + sender);
    } else {
      const char* name = info.ssi_signo == SIGUSR1 ? "SIGUSR1" : info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
      kill_task(std::nullopt, std::string("on request: ") + name + " to its runner" + sender);
    }
  });
}

/// Launchers append to their status files, then ring: one FIFO for all of them, those too that an earlier runner has
/// started. (Not inotify(7): to close it waits for a grace period, at the end of each task.)
Result<void> Runner::watch_launchers() {
  const std::string path = launchers_bell(spec_);
  if (::mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) return fail_errno("make " + path);
  bell_ = DEWAR_TRY(open_file(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW));  // we write too: then it never ends
  return loop_.watch(bell_.get(), [this] {
    char rings[4096];
    bool lost = false;
    for (ssize_t n = 0; (n = ::read(bell_.get(), rings, sizeof rings)) > 0;)
      lost = lost || std::string_view(rings, static_cast<std::size_t>(n)).find(kLossBell) != std::string_view::npos;
    for (auto& [key, attempt] : attempts_) {
      if (attempt.running_told() && !lost) continue;
      const auto status = attempt.status();
      if (status) tell_running(attempt, *status);
      if (status) tell_losses(attempt, *status);
    }
  });
}

HeaderRecord Runner::header() const {
  HeaderRecord header;
  header.task_id = spec_.task_id;
  header.launch_time_ms = static_cast<std::int64_t>(clock_.wall() * 1000);
  header.sandbox = spec_.run_folder + "/sandbox";
  header.log_dir = spec_.run_folder + "/.logs";
  header.hostname = spec_.hostname;
  header.user = spec_.user.name;
  header.uid = static_cast<std::int32_t>(spec_.user.uid);
  header.ports = spec_.ports;
  if (const std::string address = container_ ? container_->address() : ""; !address.empty()) header.address = address;
  return header;
}

const ProcessSpec& Runner::process_spec(const std::string& name) const {
  return *std::ranges::find(spec_.plan.processes, name, &ProcessSpec::name);
}

/// Adopts the container of an earlier runner, or makes one. A container whose PID 1 has died in our absence is an
/// error: the task cannot go on in it. One that is not there at all (the host was rebooted, or the task never got so
/// far) is made.
Result<void> Runner::open_container(const TaskHistory& history) {
  const ContainerSpec spec = container_spec(spec_);
  if (!history.empty()) {
    auto adopted = Container::adopt(spec);
    if (!adopted && adopted.error().code == std::errc::no_such_process)
      return fail("the sandbox died while no runner watched it");
    if (adopted) container_ = std::move(adopted).take();
  }
  const bool is_new = !container_;
  if (is_new) {
    DEWAR_TRY(Container::sweep(spec, kSweepTimeoutMs));
    container_ = DEWAR_TRY(Container::begin(spec));
  }
  const WatchContext context{loop_,
                             clock_,
                             spec_,
                             *container_,
                             [this](EventRecord event) { tell(std::move(event)); },
                             [this](const std::string& reason) { fail_task(reason); },
                             [this](const std::string& reason, EventRecord why) {
                               if (machine_.history().state() != TaskState::kActive) return;
                               tell(std::move(why));
                               machine_.fail(reason);
                             },
                             [this](const std::string& process, int run, int number) { signal(process, run, number); }};
  watchers_ = make_watchers(context);
  auto limits = std::make_unique<LimitsWatch>(context);
  limits_ = limits.get();
  watchers_.push_back(std::move(limits));
  usage_ = watch_usage(context);
  if (is_new) {  // its root was built meanwhile
    if (auto up = container_->finish(spec); !up) return leave_container(), up;
  }
  if (spec.sandbox.network == Network::kBridge) tell_network(context);
  return loop_.watch(container_->init().get(), [this] { container_ended(); });
}

void Runner::leave_container() {
  usage_.reset();
  limits_ = nullptr;
  watchers_.clear();
  container_.reset();
}

std::unique_ptr<UsageWatch> Runner::watch_usage(const WatchContext& context) {
  const auto every = [this](auto act) {
    for (const auto& watcher : watchers_) act(*watcher);
  };
  return std::make_unique<UsageWatch>(
      context, boot_id_,
      UsageWatch::Hooks{[this] { return control_.has_subscribers(); },
                        [this](const SampleRecord& sample) { control_.publish(framed(encode_record(sample))); },
                        [every](Usage& task) { every([&](const Watcher& watcher) { watcher.complete(task); }); },
                        [this, every](const Usage& task) {
                          every([&](Watcher& watcher) { watcher.each_second(task); });
                          // Of what starting took: from here on we are many and mostly asleep.
                          if (std::exchange(started_, false)) ::malloc_trim(0);
                        }});
}

void Runner::adopt_runs(const TaskHistory& history) {
  const bool rebooted =
      !boot_id_.empty() && !history.statuses.empty() && history.statuses.back().boot_id.value_or(boot_id_) != boot_id_;
  for (const auto& [name, runs] : history.processes) {
    if (runs.empty() || runs.back().state == ProcessState::kWaiting || is_terminal(runs.back().state)) continue;
    const int run = static_cast<int>(runs.size()) - 1;
    if (!container_ || rebooted) {
      const char* why = rebooted ? "the host was started anew while it ran" : "its sandbox was gone";
      machine_.ended(name, run, {RunEnd::Kind::kLost, 0, clock_.wall(), why, {}});
      continue;
    }
    Attempt attempt = Attempt::adopt(spec_, *container_, process_spec(name), run, runs.back());
    const auto status = attempt.status();
    log_.line("took over " + name + "#" + std::to_string(run) + (attempt.has_ended() ? ", which has ended" : ""));
    const bool told = attempt.running_told();
    if (status && !told) tell_running(attempt, *status);
    if (status && told && !attempt.has_ended())
      for (const auto& watcher : watchers_) watcher->run_running(name, run, status->pid);
    watch(std::move(attempt));
  }
}

// ---- What the machine wants ----

void Runner::record(const Record& record) {
  unwritten_.push_back(record);
  write_pending();
  control_.publish(framed(encode_record(record)));
  const auto* task = std::get_if<TaskRecord>(&record);
  if (task != nullptr && task->state != TaskState::kActive)
    for (const auto& watcher : watchers_) watcher->task_ending();
}

void Runner::tell(EventRecord event) {
  if (event.time == 0) event.time = clock_.wall();
  if (event.kind == kProgressEvent) return control_.publish(framed(encode_record(event)));
  if (!event.words.empty())
    log_.line(event.kind + ": " + (event.process.empty() ? "" : event.process + ": ") + event.words);
  if (auto written = events_.append(event); !written) log_.line(written.error().message());
  control_.publish(framed(encode_record(event)));
}

/// A disk that takes no more is no reason to touch a running task: records wait in memory and are tried again.
void Runner::write_pending() {
  while (!unwritten_.empty()) {
    if (auto written = checkpoint_->append(unwritten_.front()); !written) {
      if (write_timer_ == 0) {
        log_.line(written.error().message() + "; trying again");
        write_timer_ = loop_.at(clock_.now() + kRetryWrite, [this] { write_timer_ = 0, write_pending(); });
      }
      return;
    }
    unwritten_.erase(unwritten_.begin());
  }
}

void Runner::launch(const std::string& process, int run) {
  const auto refuse = [&](const Error& error) {
    log_.line("process '" + process + "': " + error.message());
    machine_.refused(process, run, error.message(), clock_.wall());
  };
  if (!container_) return refuse({std::make_error_code(std::errc::no_such_process), "the sandbox is gone"});
  for (const auto& watcher : watchers_) watcher->run_started();
  auto started = Attempt::start(spec_, *container_, process_spec(process), run);
  if (!started) return refuse(started.error());
  Attempt attempt = std::move(started).take();
  machine_.forked(process, run, attempt.launcher());
  if (auto sent = attempt.go(); !sent) log_.line("process '" + process + "': " + sent.error().message());
  watch(std::move(attempt));
}

void Runner::signal(const std::string& process, int run, int signal) {
  const auto found = attempts_.find({process, run});
  if (found == attempts_.end()) return;
  if (container_ && container_->cgroup().thaw())
    tell({0, "limits", "", 0, "the task was frozen by somebody else; it was thawed, so that it can be ended"});
  found->second.signal(signal);
}

void Runner::wake_at(Time when) {
  loop_.cancel(tick_timer_);
  tick_timer_ = loop_.at(when, [this] { machine_.tick(); });
}

void Runner::finished(TaskState state) {
  log_.line("the task has ended: " + std::string(to_string(state)));
  done_ = true;
  loop_.stop();
}

void Runner::kill_task(std::optional<Duration> wait, const std::string& who) {
  const Duration usual = std::min<Duration>(kLongestKill, spec_.plan.finalization_wait);
  log_.line("killed " + who);
  machine_.kill(wait.value_or(usual), TaskState::kKilled, "killed " + who);
}

/// The answer to the request: one line.
std::string Runner::change_limits(const std::string& words) {
  if (limits_ == nullptr) return "error the task has no sandbox\n";
  const auto changed = limits_->change(words);
  return changed ? "ok\n" : "error " + changed.error().message() + "\n";
}

// ---- What happens in the kernel ----

void Runner::watch(Attempt attempt) {
  const Key key{attempt.process(), attempt.run()};
  const int pidfd = attempt.pidfd().get();
  if (usage_) usage_->started(attempt);
  attempts_.insert_or_assign(key, std::move(attempt));
  if (pidfd < 0 || !loop_.watch(pidfd, [this, key] { launcher_ended(key); }))
    loop_.at(clock_.now(), [this, key] { launcher_ended(key); });
}

void Runner::tell_running(Attempt& attempt, const AttemptStatus& status) {
  if (attempt.running_told() || status.pid == 0 || status.stage == AttemptStage::kRefused) return;
  attempt.deliver();
  started_ = true;
  machine_.running(attempt.process(), attempt.run(), status.pid, status.start_time);
  for (const auto& watcher : watchers_) watcher->run_running(attempt.process(), attempt.run(), status.pid);
}

/// Once when the launcher has told of them, and in the end what they have come to.
void Runner::tell_losses(Attempt& attempt, const AttemptStatus& status) {
  if (attempt.losses_told == status.log_error) return;
  attempt.losses_told = status.log_error;
  tell({0, std::string(kOutputEvent), attempt.process(), attempt.run(), status.log_error});
  for (const auto& watcher : watchers_) watcher->output_lost();
}

void Runner::launcher_ended(const Key& key) {
  auto node = attempts_.extract(key);
  if (node.empty()) return;
  Attempt& attempt = node.mapped();
  if (attempt.pidfd()) loop_.unwatch(attempt.pidfd().get());
  const auto status = attempt.status();
  if (status) tell_running(attempt, *status);
  const auto succeeded = attempt.succeed_launcher(spec_, process_spec(key.first), status);
  if (!succeeded) log_.line("process '" + key.first + "': its output may not be whole: " + succeeded.error().message());
  if (succeeded && *succeeded) return watch(std::move(attempt));
  attempt.clear(status);
  const Usage used = usage_ ? usage_->ended(attempt) : Usage{};
  attempt.remove_leaf();
  for (const auto& watcher : watchers_) watcher->run_ended(key.first, used);
  if (usage_) {
    const Usage task = usage_->task();
    limits_->tell_refused_forks(task);
    machine_.set_usage(task, limits_->text());
  }
  if (container_) {
    // The container may have died just before this run: the machine must hear that first, or it would start the next
    // one.
    if (!done_ && has_ended(container_->init())) container_ended();
  }
  if (status && status->stage == AttemptStage::kRefused) {
    const std::string words =
        "process '" + key.first + "': " + explain_step(status->step, status->error, status->detail);
    log_.line(words);
    machine_.refused(key.first, key.second, words, status->stop_time > 0 ? status->stop_time : clock_.wall());
    return;
  }
  if (status) tell_losses(attempt, *status);
  if (status && status->leftovers > 0)
    tell({0, "leftovers", key.first, key.second,
          std::to_string(status->leftovers) + (status->leftovers == 1
                                                   ? " process was left when it ended; it was ended too"
                                                   : " processes were left when it ended; they were ended too")});
  EndOfRun described = describe_end(spec_, attempt, status, used, clock_);
  if (limits_ != nullptr) described.end.limits = limits_->text();
  if (described.evidence) tell(*described.evidence);
  machine_.ended(key.first, key.second, described.end);
}

void Runner::container_ended() {
  loop_.unwatch(container_->init().get());
  const std::string words = "the sandbox's first process (pid " + std::to_string(container_->init_id().pid) +
                            ") died, and every process of the task with it";
  log_.line(words);
  for (const auto& watcher : watchers_) watcher->sandbox_ended();
  for (auto& [key, attempt] : attempts_) attempt.signal(SIGKILL);  // what runs outside of it: dewar-fetch
  machine_.sandbox_lost(words);
}

void Runner::fail_task(const std::string& reason) {
  log_.line(reason);
  machine_.fail(reason);
  for (auto& [key, attempt] : attempts_) attempt.signal(SIGKILL);
}

void Runner::clean_up() {
  if (container_) (void)send_signal(container_->init(), SIGKILL);  // its mounts go while the last numbers are read
  write_pending();
  leave_container();
  const auto swept = Container::sweep(container_spec(spec_), kSweepTimeoutMs);
  if (!swept) {
    const std::string holders = what_holds(container_spec(spec_));
    tell({0, "sandbox", "", 0,
          "the sandbox could not be removed: " +
              (holders.empty() ? swept.error().message() : holders + " cannot be killed") +
              "; it is tried again until it is gone"});
  }
  if (auto moved = checkpoint_->finish(); !moved) log_.line(moved.error().message());
  control_.close(1000);
  for (const std::string& path : {spec_.run_folder + "/control", launchers_bell(spec_)}) ::unlink(path.c_str());
  if (!swept && park(container_spec(spec_)) < 0) log_.line("nothing will try again: fork failed");
}

}  // namespace dewar
