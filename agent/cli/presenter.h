// How a run is shown while it goes on and when it has ended: a live table, lines, or JSON.
#pragma once

#include <memory>
#include <string>

#include "agent/cli/paint.h"
#include "agent/cli/run_view.h"
#include "thermos/history.h"

namespace dewar {

enum class OutputForm { kTable, kJson, kJsonLines };

/// Gets told everything; shows what its form shows. Words for people go to the table's foot, else to stderr when stdout
/// belongs to a program.
class Presenter {
 public:
  virtual ~Presenter() = default;
  /// `record` is in `history` already.
  virtual void event(const Record& record, const TaskHistory& history) = 0;
  /// Something to tell beside the task's own events: "the runner died; starting it again".
  virtual void note(const std::string& words) = 0;
  /// Whether it shows anything before the end; if not, it may be told of the end alone.
  virtual bool shows_progress() const { return true; }
  /// Whether it shows the time that passes and numbers that change; then refresh() is called, at most ten times a
  /// second.
  virtual bool is_live() const { return false; }
  virtual void refresh(const TaskHistory&) {}
  /// The task has ended; nothing is told after this.
  virtual void end(const TaskHistory& history) = 0;
};

/// The form for `view` on standard output: kTable is a live table on a terminal, a line per event elsewhere.
std::unique_ptr<Presenter> make_presenter(OutputForm form, RunView view, ColorWish color);

}  // namespace dewar
