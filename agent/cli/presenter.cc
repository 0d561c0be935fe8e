#include "agent/cli/presenter.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "agent/cli/events.h"
#include "agent/cli/live_table.h"
#include "agent/cli/report.h"
#include "agent/cli/words.h"
#include "base/clock.h"
#include "base/files.h"
#include "thermos/limits_text.h"

namespace dewar {
namespace {

constexpr std::size_t kUsualWidth = 100;  // of a table that goes to a file

double now() { return SystemClock().wall(); }

/// Whoever reads us may have gone; the task does not depend on that.
void put(int fd, const std::string& text) { (void)write_all(fd, text, "output"); }

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

class LivePresenter final : public Presenter {
 public:
  LivePresenter(RunView view, Paint paint) : view_(std::move(view)), paint_(paint) {}

  void event(const Record&, const TaskHistory&) override {}
  void note(const std::string& words) override { notes_.push_back(words); }
  bool is_live() const override { return true; }
  void refresh(const TaskHistory& history) override { draw(history, false); }
  void end(const TaskHistory& history) override {
    draw(history, true);
    put(STDOUT_FILENO, "\n" + joined(summary_lines(view_, history, paint_)));
  }

 private:
  /// The last frame stays in the terminal's history and may be longer than its screen.
  void draw(const TaskHistory& history, bool last) {
    winsize size{};
    ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    const std::size_t width = size.ws_col > 1 ? size.ws_col - 1u : kUsualWidth;  // the last column would wrap
    const std::size_t height = size.ws_row > 0 && !last ? size.ws_row : 100000;
    std::vector<Line> lines = table_lines(view_, history, now(), width, paint_);
    for (const std::string& note : notes_) {
      const std::string cut = cut_to(printable(note), width, paint_);
      lines.push_back({paint_.tone(Tone::kWarn, cut), columns_of(cut)});
    }
    put(STDOUT_FILENO, area_.frame(std::move(lines), width, height, paint_));
  }

  RunView view_;
  Paint paint_;
  LiveArea area_;
  std::vector<std::string> notes_;
};

class LinePresenter final : public Presenter {
 public:
  LinePresenter(RunView view, Paint paint) : view_(std::move(view)), paint_(paint) {}

  void event(const Record& record, const TaskHistory& history) override {
    const auto* told = std::get_if<EventRecord>(&record);
    if (told != nullptr && told->kind == kOutputEvent && !is_new_loss(*told)) return;
    const std::string line = event_line(record, history, paint_);
    if (!line.empty()) put(STDOUT_FILENO, line + "\n");
  }
  void note(const std::string& words) override {
    put(STDOUT_FILENO, paint_.tone(Tone::kFaint, clock_time(now(), true)) + " " + printable(words) + "\n");
  }
  void end(const TaskHistory& history) override {
    std::string text;
    for (const Line& line : table_lines(view_, history, now(), kUsualWidth, paint_)) text += "\n" + line.text;
    text.erase(0, text.find('\n', 1));  // the verdict stands below
    text += "\n";
    put(STDOUT_FILENO, text + "\n" + joined(summary_lines(view_, history, paint_)));
  }

 private:
  /// A loss is told when it begins; what it has come to stands beneath the table.
  bool is_new_loss(const EventRecord& event) {
    const std::string reasons = loss_reasons(event.words);
    return std::exchange(losses_[{event.process, event.run}], reasons) != reasons;
  }

  RunView view_;
  Paint paint_;
  std::map<std::pair<std::string, std::int32_t>, std::string> losses_;  ///< of runs: the reasons that were told
};

class JsonPresenter final : public Presenter {
 public:
  JsonPresenter(RunView view, bool events) : view_(std::move(view)), events_(events) {}

  bool shows_progress() const override { return events_; }
  void event(const Record& record, const TaskHistory& history) override {
    if (!events_) return;
    const std::string line = event_json(view_, record, history);
    if (!line.empty()) put(STDOUT_FILENO, line + "\n");
  }
  void note(const std::string& words) override { put(STDERR_FILENO, "dewar run: " + printable(words) + "\n"); }
  void end(const TaskHistory& history) override {
    // As the kernel had them when they were last set; a task without a sandbox has those of its file.
    if (const auto limits = read_limits(parent_of(view_.sandbox))) view_.limits = *limits;
    put(STDOUT_FILENO, report_json(view_, history, !events_) + "\n");
  }

 private:
  RunView view_;
  bool events_;
};

}  // namespace

std::unique_ptr<Presenter> make_presenter(OutputForm form, RunView view, ColorWish color) {
  if (form != OutputForm::kTable) {
    return std::make_unique<JsonPresenter>(std::move(view), form == OutputForm::kJsonLines);
  }
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  const Paint paint = choose_paint(color, terminal, [](const char* name) { return std::getenv(name); });
  const char* term = std::getenv("TERM");
  const bool live = terminal && term != nullptr && std::string_view(term) != "dumb";
  if (live) return std::make_unique<LivePresenter>(std::move(view), paint);
  return std::make_unique<LinePresenter>(std::move(view), paint);
}

}  // namespace dewar
