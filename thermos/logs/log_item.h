#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/log_index.h"
#include "thermos/history.h"

namespace dewar {

/// Why bytes of a stream are missing. Those of GapReason were never kept; the others are no longer there.
enum class Missing : std::uint8_t { kQuota, kRate, kDisk, kDropped, kLostPump, kRemoved, kUnreadable };
/// One word for programs: "quota", "rate", "disk", "dropped", "lost_pump", "removed", "unreadable".
std::string_view name_of(Missing missing);
/// For people, behind a count of bytes: "rate limit", "rotated away".
std::string_view words_of(Missing missing);
Missing missing_for(GapReason reason);

/// A place in one stream of one run, between bytes; all before it has been read. It stays valid whatever happens to
/// the files: what has gone in the meantime is told as missing.
struct LogCursor {
  std::string process;
  std::uint32_t run = 0;
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t position = 0;  ///< bytes of the stream that were kept before, see isolation/log_index.h
  /// How far the run's other stream has been read, where the index does not say it: behind a gap, or a line that was
  /// told before it had ended.
  std::optional<std::uint64_t> other = {};
  friend bool operator==(const LogCursor&, const LogCursor&) = default;
};

/// "serve#0:stdout:1234", or with the other stream's position behind it. In the name what is no letter, digit, '_', '-'
/// or '.' is %XX, as in a URL.
std::string to_string(const LogCursor& cursor);
/// One or several, with commas between them. Errors: words that quote what is none.
Result<std::vector<LogCursor>> parse_cursors(std::string_view text);

/// What a log is made of: lines, and what is to be known between them. The views, and `ended`, are valid until the
/// reader is asked for the next one.
struct LogItem {
  enum class Kind : std::uint8_t { kLine, kGap, kStart, kEnd };

  Kind kind = Kind::kLine;
  std::string_view process;
  std::uint32_t run = 0;
  std::optional<std::int64_t> time;  ///< Unix nanoseconds: when its end was read; none where the index does not tell

  // Of lines and gaps:
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t position = 0, end = 0;      ///< of its first byte, and behind its last one, the newline included
  std::optional<std::uint64_t> other = {};  ///< of gaps and unfinished lines: see LogCursor

  // Of lines:
  std::string_view text;    ///< any bytes but a newline
  bool continued = false;   ///< its beginning came in an earlier item, or is missing
  bool unfinished = false;  ///< no newline is behind it: the line is too long for one item, or goes on later
  bool match = true;        ///< false: it is only here because it is near to a line that was asked for
  bool apart = false;  ///< lines were left out between the last item and this one; only where context was asked for

  // Of gaps:
  Missing cause = Missing::kRemoved;
  std::uint64_t missing = 0;  ///< bytes; of kLostPump at most so many

  const RunHistory* ended = nullptr;  ///< of kEnd: how the run ended
};

LogCursor cursor_of(const LogItem& item);  ///< behind it

}  // namespace dewar
