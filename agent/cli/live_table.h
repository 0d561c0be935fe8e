// A task as a table: a header line, then a process a row in the order of the graph, with why a run failed beneath it,
// and the last events.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "agent/cli/paint.h"
#include "agent/cli/run_view.h"
#include "thermos/history.h"

namespace dewar {

/// A line as it is sent to a terminal, and the columns that it takes there.
struct Line {
  std::string text;
  std::size_t columns = 0;
};

/// The table as of `now` (Unix seconds), no line wider than `width` columns. Pure.
std::vector<Line> table_lines(const RunView& view, const TaskHistory& history, double now, std::size_t width,
                              const Paint& paint);

/// A part of a terminal's screen that is drawn again in its place: each frame moves up, and erases and writes line by
/// line, so nothing flickers. It keeps no terminal state that would have to be restored.
class LiveArea {
 public:
  /// What to write to the terminal so that it shows `lines` where the frame before was. No more than `height` - 1 lines
  /// are shown, so that the top never scrolls away; the rest is counted in words.
  std::string frame(std::vector<Line> lines, std::size_t width, std::size_t height, const Paint& paint);

 private:
  std::vector<std::size_t> shown_;  // columns of each line of the last frame
};

}  // namespace dewar
