#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "thermos/logs/index_reader.h"
#include "thermos/logs/line_cutter.h"
#include "thermos/logs/log_item.h"
#include "thermos/logs/stream_files.h"

namespace dewar {

/// What one run of a process has written, one stream of it or both in the order in which their lines ended. While the
/// run lives, what comes later is read later. Bounded memory, whatever there is.
class RunReader {
 public:
  struct Wish {
    std::string process;
    std::uint32_t run = 0;
    bool out = true, err = true;
    const LineFilter* only = nullptr;  ///< lines that it does not take may be left out; lives as long as the reader
  };

  /// `folder` is the run's folder of logs. Begins with the first byte that was ever kept. Errors: of open(2).
  static Result<std::unique_ptr<RunReader>> open(const std::string& folder, Wish wish);
  RunReader(const RunReader&) = delete;
  RunReader& operator=(const RunReader&) = delete;

  // Where to go on; each may be called at any time.
  void seek_start();
  /// With the first line that ends at `time` (Unix ns) or later. Without an index at the start.
  void seek_time(std::int64_t time);
  /// Behind `position` of a stream, and of the other one behind `other`, or what had been read of it before that.
  void seek_position(OutputStream stream, std::uint64_t position, std::optional<std::uint64_t> other = {});
  /// With the line in which so many bytes of both streams together have been kept.
  void seek_total(std::uint64_t total);
  /// When the last byte before the place was read to which a seek has led.
  std::optional<std::int64_t> time_before() const { return std::max(out_.time, err_.time); }
  /// Bytes of both streams, from the run's start, that are gone, and all up to now.
  std::uint64_t begin_total();
  std::uint64_t end_total();

  /// The next line or gap; null: nothing more for now. `all`: also what the index does not tell of yet, and what there
  /// is of lines that have not ended.
  const LogItem* next(bool all);

  const std::string& process() const { return wish_.process; }
  std::uint32_t run() const { return wish_.run; }

 private:
  /// The way of one stream.
  struct Stream {
    Stream(const UniqueFd& folder, OutputStream stream, FileStarts& starts)
        : name(stream), files(folder, stream, starts), cutter(files) {}
    OutputStream name;
    StreamFiles files;
    LineCutter cutter;
    bool wanted = true;
    std::uint64_t given = 0;           ///< all bytes before it have been handed to the cutter
    std::optional<std::int64_t> time;  ///< of the last of them
    std::uint64_t told = 0;            ///< all before it is in items that were given
  };
  /// What is before a record, of both streams.
  struct Place {
    std::uint64_t given[2] = {0, 0};
    std::uint64_t floor[2] = {0, 0};           ///< of the last gap before
    std::optional<std::int64_t> time[2] = {};  ///< of the last byte before
    void pass(const IndexRecord& record, std::uint64_t end);
  };
  /// Goes to the first record at which `stop` says so, and begins there. `ahead`: is it behind the start of a segment
  /// at which this place is, and this time?
  template <class Ahead, class Stop>
  Place find(Ahead ahead, Stop stop);
  /// Where both streams are at the first records of a segment, and when that was.
  Place first_in(const IndexReader::Segment& segment, const Place& next, std::optional<std::int64_t>& time) const;
  /// What is before a segment, number `at` of all.
  Place before(const std::vector<IndexReader::Segment>& segments, std::size_t at);
  /// `exact`: which streams go on at their very places, not with the lines that are there.
  void begin_at(const Place& place, std::array<bool, 2> exact = {});
  void seek_both(const std::uint64_t (&positions)[2]);
  Place oldest();

  RunReader(UniqueFd folder, Wish wish);
  Stream& of(OutputStream stream) { return stream == OutputStream::kStdout ? out_ : err_; }
  void take(const IndexRecord& record);
  void give(Stream& stream, std::uint64_t end, std::optional<std::int64_t> time);
  LogItem& fresh(LogItem::Kind kind, OutputStream stream, std::optional<std::int64_t> time);
  const LogItem* from_cut(Stream& stream, const LineCutter::Cut& cut);
  const LogItem* from_gap(const IndexRecord& record);
  IndexRecord whole_gap();
  const LogItem* one(bool all);
  bool give_unindexed();
  bool finish(Stream& stream, LineCutter::Cut& cut);
  const LogItem* tell(LogItem& item);

  UniqueFd folder_;
  Wish wish_;
  IndexReader index_;
  FileStarts starts_;
  Stream out_, err_;
  Stream* giving_ = nullptr;        ///< whose cutter has lines to give, up to its `given`
  std::optional<IndexRecord> gap_;  ///< to be told next, behind what is left of its stream's line; or an end
  LogItem item_;
  std::deque<LogItem> removed_;  ///< what is missing from files, to be told before item_
  bool told_ = true;             ///< item_ has been
};

}  // namespace dewar
