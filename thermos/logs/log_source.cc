#include "thermos/logs/log_source.h"

#include <algorithm>

namespace dewar {
namespace {

constexpr std::uint64_t kLineGuess = 128;  // bytes of a line, on average

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace

void LogSource::learn(const RunHistory* history) {
  if (item_ == &mark_) item_ = nullptr;  // it may speak of what was known before
  history_ = history;
  if (key_ != 0 || history == nullptr) return;
  if (const auto started = history->start_time ? history->start_time : history->fork_time) key_ = nanoseconds(*started);
}

void LogSource::seek_start() {
  reader_->seek_start();
  item_ = nullptr;
  start_told_ = end_told_ = past_until_ = false;
  taken_ = false;
  key_ = 0;
  learn(history_);
  again_ = [this] { seek_start(); };
}

void LogSource::seek_again() {
  const auto again = again_;
  if (again) again();
  again_ = again;
}

void LogSource::seek_time(std::int64_t time) {
  seek_start();
  reader_->seek_time(time);
  const auto started = history_ != nullptr ? history_->start_time : std::nullopt;
  start_told_ = !started || nanoseconds(*started) < time;
  again_ = [this, time] { seek_time(time); };
}

void LogSource::seek_cursor(const LogCursor& cursor) {
  seek_start();
  reader_->seek_position(cursor.stream, cursor.position, cursor.other);
  start_told_ = cursor.position > 0;
  key_ = std::max(key_, reader_->time_before().value_or(0));
  again_ = [this, cursor] { seek_cursor(cursor); };
}

void LogSource::seek_back(std::uint64_t lines) {
  seek_start();
  const std::uint64_t begin = reader_->begin_total(), end = reader_->end_total();
  for (std::uint64_t back = std::max<std::uint64_t>(lines * kLineGuess, 4096);; back *= 4) {
    const bool whole = back >= end - std::min(begin, end) || back > UINT64_MAX / 4;
    if (whole) return seek_start();
    reader_->seek_total(end - back);
    std::uint64_t count = 0;
    while (const LogItem* item = reader_->next(true)) {
      count += item->kind == LogItem::Kind::kLine && !item->continued;
      if (count > lines) break;
    }
    if (count <= lines) continue;
    again_ = [this, total = end - back] {
      seek_start();
      reader_->seek_total(total);
      start_told_ = true;
    };
    return seek_again();
  }
}

LogSource::Spot LogSource::spot() const {
  if (!taken_) return {{}, start_told_};
  return {LogCursor{reader_->process(), reader_->run(), last_stream_, last_end_, last_other_}, start_told_};
}

void LogSource::seek_spot(const Spot& spot) {
  if (spot.cursor) {
    seek_cursor(*spot.cursor);
  } else {
    seek_start();
  }
  taken_ = spot.cursor.has_value();
  if (spot.cursor) {
    last_stream_ = spot.cursor->stream;
    last_end_ = spot.cursor->position;
    last_other_ = spot.cursor->other;
  }
  start_told_ = spot.start_told;
}

const LogItem* LogSource::mark(LogItem::Kind kind, std::optional<double> time) {
  mark_ = {.kind = kind, .process = reader_->process(), .run = reader_->run(), .time = {}, .text = {}};
  if (time) mark_.time = nanoseconds(*time);
  if (kind == LogItem::Kind::kEnd) mark_.ended = history_;
  return &mark_;
}

const LogItem* LogSource::peek(bool all) {
  if (item_ != nullptr || past_until_ || end_told_) return item_;
  if (!start_told_ && history_ != nullptr && history_->start_time) {
    item_ = mark(LogItem::Kind::kStart, history_->start_time);
  } else {
    item_ = reader_->next(all);
    if (item_ == nullptr && all && ended()) item_ = mark(LogItem::Kind::kEnd, history_->stop_time);
  }
  if (item_ == nullptr || !item_->time) return item_;
  key_ = std::max(key_, *item_->time);
  past_until_ = until && *item_->time > *until;
  return item_ = past_until_ ? nullptr : item_;
}

void LogSource::pop() {
  if (item_ == nullptr) return;
  if (item_->kind == LogItem::Kind::kStart) start_told_ = true;
  if (item_->kind == LogItem::Kind::kEnd) end_told_ = true;
  if (item_->kind == LogItem::Kind::kLine || item_->kind == LogItem::Kind::kGap) {
    taken_ = true;
    last_stream_ = item_->stream;
    last_end_ = item_->end;
    last_other_ = item_->other;
    start_told_ = true;
  }
  item_ = nullptr;
}

}  // namespace dewar
