// Lines of logs as people and programs see them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/paint.h"
#include "thermos/logs/log_item.h"

namespace dewar {

/// Adds `text` so that it cannot steer a terminal: control characters, those that turn the direction of writing, and
/// bytes that are no UTF-8 as \x1b, \u202e, \xff. A tab stays, and so does what is written with a backslash.
void append_escaped(std::string& out, std::string_view text);

/// An item as one line of JSON.
std::string log_json(const LogItem& item);

class LogView {
 public:
  enum class Times { kNone, kAbsolute, kRelative, kDelta };
  struct Look {
    Times times = Times::kNone;
    std::int64_t origin = 0;  ///< of relative times
    bool prefix = false;      ///< the process and the stream in front of each line
    bool runs = false;        ///< and the run
    bool raw = false;         ///< bytes as they are
    bool ends = true;         ///< tells where runs start and end
    Paint paint;
  };
  /// `processes`: whose names are known to come, so that prefixes are aligned from the start.
  LogView(Look look, const std::vector<std::string>& processes);

  /// Adds what to write for it, which may be nothing.
  void show(std::string& out, const LogItem& item);
  /// Why bytes are missing, for a person.
  static std::string words_of_gap(const LogItem& item);
  /// What is missing at the end: a newline, if the last line had none.
  std::string finish();

 private:
  void margin(std::string& out, const LogItem& item);
  const std::string& prefix_of(const LogItem& item);
  std::string time_of(const LogItem& item);
  std::string mark_of(const LogItem& item) const;
  void show_line(std::string& out, const LogItem& item);
  void close(std::string& out);
  std::string label_of(const LogItem& item) const;

  Look look_;
  std::vector<std::string> names_;
  std::size_t width_ = 0;
  std::optional<std::int64_t> last_time_;
  std::optional<LogCursor> open_;  ///< the last line was written without its end, up to here
  /// The latest prefix: lines mostly come from where the line before came from.
  struct {
    std::string process, text;
    std::uint32_t run = 0;
    bool error = false;
  } prefix_;
};

}  // namespace dewar
