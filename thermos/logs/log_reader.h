// What the processes of a task have written, from its run folder alone: whether it lives or has ended, with or without
// an index, over live, rotated and compressed files. One line after another is pulled out; nothing is printed here.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "thermos/logs/folder_watch.h"
#include "thermos/logs/line_filter.h"
#include "thermos/logs/log_item.h"
#include "thermos/logs/log_source.h"

namespace dewar {

struct LogQuery {
  // What
  std::string process;                ///< empty: all
  std::optional<std::uint32_t> run;   ///< of `process`
  bool all_runs = false;              ///< otherwise the latest of each process, and while following those that come
  bool out = true, err = true;        ///< which streams
  std::vector<std::string> order;     ///< processes whose lines have the same time come in this order
  bool merge = true;                  ///< by time; false: one run after the other
  LineFilter filter;                  ///< which lines
  std::size_t context = 0;            ///< and so many around each
  std::optional<std::int64_t> until;  ///< Unix ns; what ended later is left out

  // Where it begins: at the first byte that was ever kept, or
  std::optional<std::int64_t> since;  ///< with the first lines that ended then or later
  std::vector<LogCursor> cursors;     ///< behind these places; runs without one where the first of them was in time
  std::optional<std::uint64_t> line;  ///< with this line of those that are asked for, the first is 1
  std::optional<std::uint64_t> last;  ///< with the last so many lines that are asked for

  bool follow = false;  ///< goes on until the task (with `run`: that run) has ended and all is read
};

/// Pull: next() until it gives nothing. Then, unless done(), wait() or poll fd() and wake_at(), and next() again.
class LogReader {
 public:
  static constexpr std::size_t kMaxContext = 1000;

  /// Errors: ENOENT if there is no folder of logs; EMFILE for inotify, when following.
  static Result<std::unique_ptr<LogReader>> open(const std::string& run_folder, const std::string& task_id,
                                                 LogQuery query);
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  /// The next item; null: nothing for now. It is valid until the next call.
  const LogItem* next();
  /// Nothing will come any more.
  bool done() const;

  /// While following: sleeps until there may be more, or `patience_ms` are over (-1: as long as it takes).
  void wait(int patience_ms = -1);
  /// Readable when there may be more; at wake_at() there may be, too.
  int fd() const { return watch_ ? watch_->fd() : -1; }
  std::optional<Time> wake_at() const;

  /// Where we are: a list of cursors, one for each run of which something was given. Reading goes on there without
  /// a loss and without saying a line twice; the mark of a gap just there may come again.
  std::string cursor() const;
  /// The processes of which there are logs, in their order.
  std::vector<std::string> processes() const;

 private:
  struct Held {
    LogItem item;
    std::string text;
  };
  LogReader(std::string run_folder, std::string task_id, LogQuery query);
  void watch_folders();
  void discover();
  void add_source(const std::string& process, std::uint32_t run);
  std::size_t rank_of(const std::string& process) const;
  const RunHistory* known(const std::string& process, std::uint32_t run) const;
  void learn();
  void see_changes();
  void begin();
  void begin_at_cursors();
  void begin_at_last(std::uint64_t lines);
  void pass_lines(std::uint64_t count);
  void refresh_all();
  const LogItem* look(LogSource& source);
  const LogItem* pull();
  const LogItem* hold_context(const LogItem& item);
  void forget_context();

  std::string run_folder_, task_id_;
  LogQuery query_;
  TaskHistory history_;
  std::vector<std::unique_ptr<LogSource>> sources_;  ///< by the order of their processes, and their runs
  std::optional<FolderWatch> watch_;
  bool unwatched_ = false;  ///< a folder that should be watched is not there yet
  bool over_ = false;       ///< what we follow has ended
  bool idle_ = true;        ///< there was nothing when we looked last
  unsigned unseen_ = 0;     ///< items since we have asked what has changed

  std::deque<Held> before_;  ///< lines that are told if a match comes soon
  std::size_t before_bytes_ = 0;
  std::deque<Held> ready_;  ///< to be given before all else; the first has been given
  bool gave_ready_ = false;
  std::size_t after_ = 0;  ///< so many lines behind a match are still told
  bool left_out_ = false, gave_any_ = false;
};

}  // namespace dewar
