#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "thermos/logs/line_filter.h"
#include "thermos/logs/stream_files.h"

namespace dewar {

/// Cuts one stream into lines, in bounded memory. A line of more than kPiece bytes comes in pieces, which end where a
/// position is a multiple of kPiece (the first is up to twice as long): so everybody cuts it at the same places,
/// wherever they began to read.
class LineCutter {
 public:
  static constexpr std::uint64_t kPiece = 64u << 10;

  explicit LineCutter(StreamFiles& files) : files_(&files) {}

  struct Cut {
    std::uint64_t position = 0, end = 0;
    std::string_view text;  ///< valid until the next call
    bool continued = false, unfinished = false;
    bool missing = false;  ///< no line: [position, end) cannot be had
    bool damaged = false;
  };

  /// Begins at `position`, be that amid a line.
  void start_at(std::uint64_t position);
  /// Begins with the line, or piece, that has the byte at `position`, or ends in front of it without a newline. Looks
  /// back to `floor` at most, which is where a line begins.
  void start_with_line_at(std::uint64_t position, std::uint64_t floor);

  /// The next line that ends at `limit` or before. With `only`, lines that it does not take may be left out. False:
  /// there is none; all bytes up to there have been looked at.
  bool next(std::uint64_t limit, const LineFilter* only, Cut& cut);
  /// What there is of the line that has begun, as one without end. False: none has.
  bool flush(Cut& cut);

  std::uint64_t position() const { return line_; }

 private:
  bool read_more(std::uint64_t limit, Cut& cut);
  void skip(std::uint64_t end, const LineFilter& only);
  Cut take(std::uint64_t text_end, std::uint64_t end, bool unfinished);
  std::string_view window(std::uint64_t from, std::uint64_t to) const;

  StreamFiles* files_;
  std::string window_;
  std::uint64_t begin_ = 0;  ///< position of the window
  std::uint64_t line_ = 0;   ///< of the line or piece that has begun
  std::uint64_t seen_ = 0;   ///< no newline is in front of it
  bool continued_ = false;
};

}  // namespace dewar
