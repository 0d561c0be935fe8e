#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "thermos/logs/run_reader.h"

namespace dewar {

/// One run among those that are shown together: its lines, between the marks of its start and its end.
class LogSource {
 public:
  /// `history`: what is known of the run; null: nothing. It lives until the next learn().
  LogSource(std::unique_ptr<RunReader> reader, const RunHistory* history) : reader_(std::move(reader)) {
    learn(history);
    again_ = [this] { seek_start(); };
  }

  void learn(const RunHistory* history);
  bool ended() const { return history_ != nullptr && is_terminal(history_->state); }

  void seek_start();
  void seek_time(std::int64_t time);
  void seek_cursor(const LogCursor& cursor);
  /// So far back that at least `lines` lines are to come, if there are so many.
  void seek_back(std::uint64_t lines);
  /// To where the last of these calls has led.
  void seek_again();
  /// To where it was when that was asked.
  struct Spot {
    std::optional<LogCursor> cursor;  ///< none: nothing had been taken yet
    bool start_told = false;
  };
  Spot spot() const;
  void seek_spot(const Spot& spot);

  /// What comes next, without taking it; null: nothing for now. `all`: see RunReader::next().
  const LogItem* peek(bool all);
  /// What peek() has found and nobody has taken.
  const LogItem* peeked() const { return item_; }
  void pop();
  /// Where it stands among other sources: its time, or that of what was before.
  std::int64_t key() const { return key_; }

  RunReader& reader() { return *reader_; }
  bool fresh = true;                  ///< it may have something
  std::optional<Time> flush_at;       ///< then what is unfinished is given, too
  std::optional<std::int64_t> until;  ///< nothing later is given

 private:
  const LogItem* mark(LogItem::Kind kind, std::optional<double> time);

  std::unique_ptr<RunReader> reader_;
  const RunHistory* history_ = nullptr;
  const LogItem* item_ = nullptr;
  LogItem mark_;
  std::int64_t key_ = 0;
  bool start_told_ = false, end_told_ = false, past_until_ = false;
  bool taken_ = false;  ///< a line or gap has been
  OutputStream last_stream_ = OutputStream::kStdout;
  std::uint64_t last_end_ = 0;
  std::optional<std::uint64_t> last_other_;
  std::function<void()> again_;
};

}  // namespace dewar
