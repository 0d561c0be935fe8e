#include "isolation/launch/stay.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "base/clock.h"
#include "base/files.h"
#include "isolation/attempt_status.h"
#include "isolation/launch/attempt.h"
#include "isolation/launch/confine.h"
#include "isolation/launch/log_pump.h"
#include "isolation/launch/report.h"
#include "isolation/launch/steps.h"
#include "isolation/launch/sweep.h"
#include "isolation/log_pipe.h"

namespace dewar {
namespace {

constexpr int kSweepMs = 10'000;

void complain(const std::string& words) { (void)write_all(2, "dewar-launch: " + words + "\n", "stderr"); }

/// The attempt's append-only story. All stages together fit the block that the first one gets, so a disk that is full
/// later does not hide the end.
class StatusFile {
 public:
  bool create(const std::string& path) {
    file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
    return static_cast<bool>(file_);
  }
  bool append(const AttemptStatus& status) const {
    const auto written = write_all(file_.get(), encode_status(status), "status file");
    if (!written) complain(written.error().message());
    return static_cast<bool>(written);
  }

 private:
  UniqueFd file_;
};

/// Notes in `status` which step failed, with errno. Always false.
bool refuse(AttemptStatus& status, const char* step, std::string detail = {}) {
  status.error = errno;
  status.stage = AttemptStage::kRefused;
  status.step = step;
  status.detail = std::move(detail);
  return false;
}

/// A FIFO is opened only while somebody reads it: where no runner lives, nobody waits.
void ring(const std::string& bell, char what) {
  if (bell.empty()) return;
  const UniqueFd fifo(::open(bell.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (fifo) (void)!::write(fifo.get(), &what, 1);  // full: it will be heard anyway
}

/// Both streams: our ends, and what becomes the child's 1 and 2.
struct Output {
  std::unique_ptr<RunLog> log;
  std::vector<LogStream> streams;
  UniqueFd writers[2];
  int child[2] = {-1, -1};
};

bool open_output(const AttemptRecipe& recipe, Output& output, AttemptStatus& status) {
  const LogDestination to = recipe.logs.policy.destination;
  if (to == LogDestination::kNone) return true;
  if (to == LogDestination::kConsole) {
    output.child[0] = 1, output.child[1] = 2;
    return true;
  }
  std::string subject;
  auto log = RunLog::open(recipe.logs, LogFile::Begin::kNew, subject);
  if (!log) {
    errno = log.error().code.value();
    return refuse(status, step::kOpenLogs, subject);
  }
  output.log = std::move(log).take();
  for (const int number : {0, 1}) {
    LogStream stream;
    stream.id = static_cast<OutputStream>(number + 1);
    if (to == LogDestination::kBoth) stream.console = number + 1;
    UniqueFd& writer = output.writers[number];
    if (recipe.has_pipes) {
      stream.pipe.reset(kReadEnds[number]);
      writer.reset(kWriteEnds[number]);
    } else {
      auto pipe = make_log_pipe();
      if (!pipe) return refuse(status, step::kPipe, std::string(file_name(stream.id)));
      stream.pipe = std::move(pipe->reader);
      writer = std::move(pipe->writer);
    }
    output.child[number] = writer.get();
    output.streams.push_back(std::move(stream));
  }
  return true;
}

/// Children that are born from here on, and threads, belong to us and not into the container.
bool leave_pid_namespace() {
  const auto self = open_child(::getpid());
  return self && ::setns(self->get(), CLONE_NEWPID) == 0;
}

/// Starts the child and waits until it has executed its program. On success `pidfd` is the attempt's.
bool start(const AttemptRecipe& recipe, const UniqueFd& container, const Output& output, UniqueFd& pidfd,
           AttemptStatus& status) {
  UniqueFd cgroup;
  if (!recipe.unified_cgroup.empty()) {
    cgroup.reset(::open(recipe.unified_cgroup.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup) return refuse(status, step::kJoinCgroup, recipe.unified_cgroup);
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return refuse(status, step::kPipe);
  UniqueFd reader(ends[0]), writer(ends[1]);
  if (!recipe.on_host && ::setns(container.get(), CLONE_NEWPID) != 0)
    return refuse(status, step::kEnterPidNamespace);  // for children only
  const pid_t pid = clone_child(0, cgroup.get(), pidfd);
  if (pid < 0) return refuse(status, step::kClone, recipe.unified_cgroup);
  if (pid > 0 && !recipe.on_host && !leave_pid_namespace()) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
    errno = error;
    return refuse(status, step::kEnterPidNamespace);
  }
  if (pid == 0) become_attempt(recipe, {writer.get(), output.child[0], output.child[1]});

  writer.reset();
  if (const auto report = read_report(reader.get())) {
    retry_eintr([&] { return ::waitpid(pid, nullptr, 0); });
    errno = report->error;
    return refuse(status, report->step.c_str(), report->detail);
  }
  status.stage = AttemptStage::kRunning;
  status.pid = pid;
  status.start_time = SystemClock().wall();
  return true;
}

void note_end(const UniqueFd& pidfd, AttemptStatus& status) {
  siginfo_t info{};
  retry_eintr([&] { return ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED); });
  status.stage = AttemptStage::kEnded;
  status.stop_time = SystemClock().wall();
  status.return_code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  status.core_dumped = info.si_code == CLD_DUMPED;
}

/// Only its attempt ends this program. SIGUSR1 is kept for was_told_to_stop().
void ignore_signals() {
  for (const int number : kIgnoredSignals) ::signal(number, SIG_IGN);
  sigset_t kept;
  sigemptyset(&kept);
  sigaddset(&kept, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &kept, nullptr);
}

bool was_told_to_stop() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1;
}

/// A stop has sent SIGTERM to the whole tree: the children and daemons of a process that was quick to end get the time
/// that the stop gives, and what they still write is kept. Whoever stops kills them when the time is over.
void outlast_leftovers(const std::string& cgroup, LogPump& pump, AttemptStatus& status) {
  auto left = processes_in(cgroup);
  status.leftovers = static_cast<std::uint32_t>(left.size());
  for (; !left.empty(); left = processes_in(cgroup)) {
    const auto process = open_child(left.front());
    if (process) pump.run_until_ended(process->get());
  }
}

}  // namespace

int stay_with_attempt(AttemptRecipe recipe, UniqueFd pipe, UniqueFd container) {
  ignore_signals();
  StatusFile file;
  if (!file.create(recipe.status_file)) {
    complain(explain_step(step::kStatusFile, errno, recipe.status_file));
    return 1;
  }
  AttemptStatus status;
  status.launcher = recipe.launcher;
  if (status.launcher.pid == 0)
    if (const auto self = identify(::getpid())) status.launcher = *self;
  if (!file.append(status)) return 1;

  Output output;
  UniqueFd pidfd;
  if (!open_output(recipe, output, status) || !start(recipe, container, output, pidfd, status)) {
    return file.append(status) ? 0 : 1;
  }
  (void)file.append(status);
  ring(recipe.bell, kRunningBell);
  for (UniqueFd& writer : output.writers) writer.reset();
  pipe.reset();
  container.reset();
  const std::string cgroup = std::move(recipe.sweep_cgroup), bell = std::move(recipe.bell);
  recipe = {};
  ::malloc_trim(0);  // from here on we are many and mostly asleep

  LogPump pump(std::move(output.streams), std::move(output.log), [&](const std::string& losses) {
    status.log_error = losses;
    if (file.append(status)) ring(bell, kLossBell);
  });
  pump.run_until_ended(pidfd.get());
  note_end(pidfd, status);
  if (was_told_to_stop()) outlast_leftovers(cgroup, pump, status);
  if (!cgroup.empty() && !sweep_cgroup(cgroup, kSweepMs, status.leftovers)) {
    status.step = step::kSweep;
    status.error = ETIMEDOUT;
    status.detail = cgroup;
  }
  pump.drain();
  status.log_error = pump.losses();
  return file.append(status) ? 0 : 1;
}

}  // namespace dewar
