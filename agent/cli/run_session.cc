#include "agent/cli/run_session.h"

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/process.h"
#include "thermos/checkpoint.h"
#include "thermos/events.h"
#include "thermos/prepare.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFramePause = 100ms, kClockTick = 1s;
constexpr Duration kSteady = 10s;  // a runner that has lived so long has not died of its start
constexpr int kMostRestarts = 5;

}  // namespace

Result<TaskHistory> RunSession::follow() {
  DEWAR_TRY(take_signals());
  if (may_be_known_ && has_ended()) {
    presenter_.note("this task had ended before; it is told, not run again");
    return history_;
  }
  if (may_be_known_) DEWAR_TRY(try_connect());
  DEWAR_TRY(connect());
  show();
  DEWAR_TRY(loop_.run());
  if (failure_) return *failure_;
  return history_;
}

Result<void> RunSession::take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGWINCH}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno("watch signals");
  return loop_.watch(signals_.get(), [this] { read_signal(); });
}

/// The files tell of an end that no runner is left to tell, and the events that we have missed.
bool RunSession::has_ended() {
  const auto records = read_checkpoint_records(spec_.run_folder + "/checkpoints", spec_.task_id);
  const auto is_end = [](const Record& record) {
    const auto* status = std::get_if<TaskRecord>(&record);
    return status != nullptr && is_terminal(status->state);
  };
  if (!records || std::ranges::none_of(*records, is_end)) return false;
  begin_anew();
  for (const Record& record : *records) take(record);
  for (const EventRecord& event : read_events(spec_.run_folder)) take(event);
  return true;
}

bool RunSession::has_records() const {
  const auto records = read_checkpoint_records(spec_.run_folder + "/checkpoints", spec_.task_id);
  return records && !records->empty();
}

// ---- The runner ----

/// To the runner that try_connect() has found, or else to one that we start; whether that one gets so far as to hold
/// the task, the connection will tell.
Result<void> RunSession::connect() {
  if (!client_) {
    StartedRunner started = DEWAR_TRY(start_runner(spec_, wish_ != Wish::kNone).context("start dewar-runner"));
    child_ = started.pid;
    client_ = std::move(started.client);
  }
  begin_anew();
  connected_ = clock_.now();
  is_told_ = presenter_.shows_progress() || may_be_known_;
  if (is_told_) (void)client_->subscribe();  // a runner that has just ended does not hear it; reading will tell
  DEWAR_TRY(loop_.watch(client_->fd().get(), [this] { read_records(); }));
  pass_on_wish();
  return {};
}

/// False if no runner listens.
Result<bool> RunSession::try_connect() {
  auto client = RunnerClient::connect(spec_.run_folder);
  if (client) {
    client_ = std::move(client).take();
    return true;
  }
  const std::error_code code = client.error().code;
  if (code == std::errc::no_such_file_or_directory || code == std::errc::connection_refused) return false;
  return Failure{std::move(client).error()};
}

void RunSession::read_records() {
  std::vector<Record> records;
  const auto open = client_->receive(records);
  for (const Record& record : records) take(record);
  if (open && *open) return show_soon();
  loop_.unwatch(client_->fd().get());
  client_.reset();
  if (!open) presenter_.note(open.error().message());
  connection_closed();
}

/// A new connection tells everything from the start.
void RunSession::begin_anew() {
  seen_ = events_seen_ = 0;
  fresh_ = true;
}

void RunSession::take(const Record& record) {
  if (std::exchange(fresh_, false)) history_ = {};
  if (auto applied = history_.apply(record); !applied) {
    presenter_.note("a record from the runner does not fit: " + applied.error().message());
    return;
  }
  if (std::holds_alternative<SampleRecord>(record)) return;
  const auto* told_event = std::get_if<EventRecord>(&record);
  const bool event = told_event != nullptr;
  if (event && told_event->kind == kProgressEvent) return;  // in the history, for the next frame
  std::size_t& seen = event ? events_seen_ : seen_;
  std::size_t& told = event ? events_told_ : told_;
  if (++seen <= told) return;
  told = seen;
  presenter_.event(record, history_);
}

/// The connection has ended: with the task, because we were too slow a reader, or because the runner has died.
void RunSession::connection_closed() {
  if (has_ended()) {
    reap();
    return loop_.stop();
  }
  may_be_known_ = true;
  if (auto again = reconnect(); !again) {
    failure_ = Failure{std::move(again).error()};
    loop_.stop();
  }
}

/// A runner of ours that gave up by itself before it said anything has its reason, unless it is that another one was
/// quicker.
Result<void> RunSession::reconnect() {
  if (!DEWAR_TRY(try_connect())) {
    const int status = reap();
    const bool has_begun = is_told_ ? !fresh_ : has_records();
    if (!has_begun && WIFEXITED(status) && WEXITSTATUS(status) != 0) return fail("dewar-runner gave up" + last_words());
    DEWAR_TRY(count_death());
  }
  return connect();
}

Result<void> RunSession::count_death() {
  if (clock_.now() - connected_ > kSteady) restarts_ = 0;
  if (restarts_ == kMostRestarts) {
    return fail("the runner has died " + std::to_string(kMostRestarts + 1) + " times in a row" + last_words());
  }
  ++restarts_;
  presenter_.note("the runner died; starting it again (" + std::to_string(restarts_) + " of " +
                  std::to_string(kMostRestarts) + ")");
  return {};
}

/// Waits for the end of the runner that we have started, which is at hand. Returns its wait status.
int RunSession::reap() {
  int status = 0;
  if (child_ > 0) retry_eintr([&] { return ::waitpid(child_, &status, 0); });
  child_ = -1;
  return status;
}

std::string RunSession::last_words() const {
  const auto text = read_file(spec_.run_folder + "/stderr");
  if (!text || text->empty()) return "; see " + spec_.run_folder + "/runner.log";
  const std::size_t end = text->find_last_not_of('\n');
  const std::size_t start = text->find_last_of('\n', end);
  return ": " + text->substr(start + 1, end - start);
}

// ---- The person ----

void RunSession::read_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGWINCH) return show_soon();
  if (wish_ == Wish::kNone) {
    wish_ = Wish::kKill;
    presenter_.note("stopping the task, finalizers included; once more to end it at once");
  } else if (wish_ == Wish::kKill) {
    wish_ = Wish::kLose;
    presenter_.note("ending the task at once");
  } else {
    return;
  }
  pass_on_wish();
  show_soon();
}

void RunSession::pass_on_wish() {
  if (!client_ || wish_ == Wish::kNone) return;
  (void)(wish_ == Wish::kKill ? client_->kill() : client_->lose());  // see connect()
}

// ---- Showing ----

void RunSession::show_soon() {
  if (!presenter_.is_live()) return;
  loop_.cancel(frame_timer_);
  frame_timer_ = loop_.at(std::max(clock_.now(), last_frame_ + kFramePause), [this] { show(); });
}

void RunSession::show() {
  if (!presenter_.is_live()) return;
  presenter_.refresh(history_);
  last_frame_ = clock_.now();
  loop_.cancel(frame_timer_);
  frame_timer_ = loop_.at(last_frame_ + kClockTick, [this] { show(); });
}

}  // namespace dewar
