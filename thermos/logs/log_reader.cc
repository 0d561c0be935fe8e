#include "thermos/logs/log_reader.h"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/files.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

constexpr auto kSilence = std::chrono::seconds(1);                // then a line without end is shown
constexpr auto kFolderPatience = std::chrono::milliseconds(200);  // until a folder that is to come is looked for again
constexpr unsigned kLookEvery = 256;                              // items
constexpr std::size_t kContextBytes = 4u << 20;

Time now() { return std::chrono::steady_clock::now(); }

std::optional<std::uint32_t> run_number(const std::string& name) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

}  // namespace

Result<std::unique_ptr<LogReader>> LogReader::open(const std::string& run_folder, const std::string& task_id,
                                                   LogQuery query) {
  query.context = std::min(query.context, kMaxContext);
  std::unique_ptr<LogReader> reader(new LogReader(run_folder, task_id, std::move(query)));
  DEWAR_TRY(list_dir(run_folder));
  if (reader->query_.follow) reader->watch_ = DEWAR_TRY(FolderWatch::open());
  reader->watch_folders();
  reader->learn();
  reader->discover();
  reader->begin();
  return reader;
}

LogReader::LogReader(std::string run_folder, std::string task_id, LogQuery query)
    : run_folder_(std::move(run_folder)), task_id_(std::move(task_id)), query_(std::move(query)) {}

void LogReader::watch_folders() {
  if (!watch_) return;
  unwatched_ = false;
  const std::string checkpoints = run_folder_ + "/checkpoints";
  for (const std::string& folder :
       {run_folder_ + "/.logs", checkpoints + "/checkpoints/" + task_id_, checkpoints + "/tasks/finished"})
    if (!watch_->add(folder)) unwatched_ = true;
}

std::size_t LogReader::rank_of(const std::string& process) const {
  return static_cast<std::size_t>(std::ranges::find(query_.order, process) - query_.order.begin());
}

const RunHistory* LogReader::known(const std::string& process, std::uint32_t run) const {
  const auto runs = history_.processes.find(process);
  return runs == history_.processes.end() || run >= runs->second.size() ? nullptr : &runs->second[run];
}

/// Reads the records again.
void LogReader::learn() {
  // What has ended is asked first: then the records that are read next are all there will be.
  const bool finished = exists(run_folder_ + "/checkpoints/tasks/finished/" + task_id_) || !exists(run_folder_);
  if (auto history = read_history(run_folder_ + "/checkpoints", task_id_)) history_ = *std::move(history);
  for (const auto& source : sources_) source->learn(known(source->reader().process(), source->reader().run()));
  over_ = finished || history_.terminal();
  if (query_.run) {
    const RunHistory* run = known(query_.process, *query_.run);
    over_ = over_ || (run != nullptr && is_terminal(run->state));
  }
  refresh_all();
}

void LogReader::add_source(const std::string& process, std::uint32_t run) {
  const auto same = [&](const auto& source) {
    return source->reader().process() == process && source->reader().run() == run;
  };
  if (std::ranges::any_of(sources_, same)) return;
  const std::string folder = run_folder_ + "/.logs/" + process + "/" + std::to_string(run);
  if (watch_ && !watch_->add(folder)) return;
  const bool skip = query_.context == 0 && !query_.filter.takes_all();
  auto reader = RunReader::open(
      folder,
      {.process = process, .run = run, .out = query_.out, .err = query_.err, .only = skip ? &query_.filter : nullptr});
  if (!reader) return;
  auto source = std::make_unique<LogSource>(*std::move(reader), known(process, run));
  source->until = query_.until;
  const auto place = [&](const std::unique_ptr<LogSource>& other) {
    const std::size_t mine = rank_of(process), its = rank_of(other->reader().process());
    if (mine != its) return its < mine;
    if (other->reader().process() != process) return other->reader().process() < process;
    return other->reader().run() < run;
  };
  sources_.insert(std::ranges::partition_point(sources_, place), std::move(source));
}

/// Finds the runs that are asked for, and that were not there before.
void LogReader::discover() {
  const std::string logs = run_folder_ + "/.logs";
  const auto processes = list_dir(logs);
  if (!processes) return;
  for (const std::string& process : *processes) {
    if (!query_.process.empty() && process != query_.process) continue;
    if (watch_) watch_->add(logs + "/" + process);
    const auto names = list_dir(logs + "/" + process);
    if (!names) continue;
    std::vector<std::uint32_t> runs;
    for (const std::string& name : *names)
      if (const auto run = run_number(name)) runs.push_back(*run);
    std::ranges::sort(runs);
    if (query_.run) std::erase_if(runs, [&](std::uint32_t run) { return run != *query_.run; });
    std::optional<std::uint32_t> latest;
    for (const auto& source : sources_)
      if (source->reader().process() == process) latest = source->reader().run();
    const bool all = query_.all_runs || !query_.cursors.empty();
    if (!all && latest) std::erase_if(runs, [&](std::uint32_t run) { return run < *latest; });
    if (!all && !latest && runs.size() > 1) runs.erase(runs.begin(), runs.end() - 1);
    for (const std::uint32_t run : runs) add_source(process, run);
  }
}

void LogReader::refresh_all() {
  for (const auto& source : sources_) source->fresh = true;
}

void LogReader::forget_context() {
  before_.clear();
  ready_.clear();
  before_bytes_ = after_ = 0;
  gave_ready_ = left_out_ = gave_any_ = false;
}

void LogReader::begin() {
  if (!query_.cursors.empty()) {
    begin_at_cursors();
  } else if (query_.since) {
    for (const auto& source : sources_) source->seek_time(*query_.since);
  }
  if (query_.last) begin_at_last(*query_.last);
  if (query_.line && *query_.line > 0) pass_lines(*query_.line - 1);
}

/// A run without a cursor has given nothing that was read before the latest of the cursors.
void LogReader::begin_at_cursors() {
  std::optional<std::int64_t> time;
  std::vector<LogSource*> others;
  for (const auto& source : sources_) {
    const auto ours = std::ranges::find_if(query_.cursors, [&](const LogCursor& cursor) {
      return cursor.process == source->reader().process() && cursor.run == source->reader().run();
    });
    if (ours == query_.cursors.end()) {
      others.push_back(source.get());
      continue;
    }
    source->seek_cursor(*ours);
    time = std::max(time, std::max(source->reader().time_before(), std::optional(source->key())));
  }
  if (!time) return;  // those runs are gone: all there is of the others
  const auto too_old = [&](const std::unique_ptr<LogSource>& source) {
    const RunHistory* run = known(source->reader().process(), source->reader().run());
    return std::ranges::find(others, source.get()) != others.end() && run != nullptr && run->stop_time &&
           *run->stop_time * 1e9 < static_cast<double>(*time);
  };
  std::erase_if(sources_, too_old);
  for (const auto& source : sources_)
    if (std::ranges::find(others, source.get()) != others.end()) source->seek_time(*time);
}

/// Counts what there is, remembers places on the way, and goes back to the right one.
void LogReader::begin_at_last(std::uint64_t lines) {
  struct Place {
    std::uint64_t count;
    std::vector<LogSource::Spot> spots;
  };
  if (query_.filter.takes_all() && !query_.since && query_.cursors.empty() && !query_.until)
    for (const auto& source : sources_) source->seek_back(lines);
  std::deque<Place> places;
  const auto remember = [&](std::uint64_t count) {
    places.push_back({count, {}});
    for (const auto& source : sources_) places.back().spots.push_back(source->spot());
  };
  const std::uint64_t stride = std::max<std::uint64_t>(lines / 4, 1000);
  std::uint64_t count = 0;
  while (const LogItem* item = next()) {
    if (item->kind != LogItem::Kind::kLine || !item->match) continue;
    if (++count % stride == 0 && ready_.empty()) remember(count);
    while (places.size() > 1 && places[1].count + lines <= count) places.pop_front();
  }
  const bool early = places.empty() || places.front().count + lines > count;
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (early) {
      sources_[i]->seek_again();
    } else {
      sources_[i]->seek_spot(places.front().spots[i]);
    }
  }
  if (!early) at = places.front().count;
  forget_context();
  refresh_all();
  pass_lines(count - std::min(count, lines) - at);
}

void LogReader::pass_lines(std::uint64_t count) {
  while (count > 0) {
    const LogItem* item = next();
    if (item == nullptr) return;
    count -= item->kind == LogItem::Kind::kLine && item->match;
  }
}

const LogItem* LogReader::look(LogSource& source) {
  const bool silent = source.flush_at && now() >= *source.flush_at;
  if (!source.fresh && !silent) return source.peeked();
  const LogItem* item = source.peek(!query_.follow || over_ || silent || source.ended());
  if (item != nullptr) {
    source.fresh = true;
    if (!silent) source.flush_at.reset();
    return item;
  }
  source.fresh = false;
  if (silent || !query_.follow || over_) {
    source.flush_at.reset();
  } else if (!source.flush_at) {
    source.flush_at = now() + kSilence;
  }
  return nullptr;
}

/// The earliest of what all sources have.
const LogItem* LogReader::pull() {
  LogSource* first = nullptr;
  const LogItem* item = nullptr;
  for (const auto& source : sources_) {
    const LogItem* has = look(*source);
    if (has == nullptr || (first != nullptr && source->key() >= first->key())) continue;
    first = source.get();
    item = has;
    if (!query_.merge) break;
  }
  if (first != nullptr) first->pop();
  return item;
}

/// Null: it is kept in mind, or left out.
const LogItem* LogReader::hold_context(const LogItem& item) {
  const bool line = item.kind == LogItem::Kind::kLine;
  if (!line) return item.kind == LogItem::Kind::kGap ? &item : nullptr;
  const bool match = query_.filter.takes(item.text);
  if (query_.context == 0) return match ? &item : nullptr;
  if (!match && after_ == 0) {
    before_.push_back({item, std::string(item.text)});
    before_bytes_ += item.text.size();
    while (before_.size() > query_.context || before_bytes_ > kContextBytes) {
      before_bytes_ -= before_.front().text.size();
      before_.pop_front();
      left_out_ = true;
    }
    return nullptr;
  }
  after_ = match ? query_.context : after_ - 1;
  ready_ = std::move(before_);
  before_.clear();
  before_bytes_ = 0;
  for (Held& held : ready_) held.item.match = false;
  ready_.push_back({item, std::string(item.text)});
  ready_.back().item.match = match;
  ready_.front().item.apart = left_out_ && gave_any_;
  left_out_ = false;
  gave_any_ = true;
  gave_ready_ = false;
  return nullptr;
}

const LogItem* LogReader::next() {
  // A busy process must not keep us from seeing the others.
  if (watch_ && (idle_ || ++unseen_ >= kLookEvery)) see_changes();
  idle_ = false;
  for (;;) {
    if (gave_ready_ && !ready_.empty()) ready_.pop_front();
    gave_ready_ = !ready_.empty();
    if (gave_ready_) {
      ready_.front().item.text = ready_.front().text;
      return &ready_.front().item;
    }
    const LogItem* item = pull();
    idle_ = item == nullptr;
    if (idle_ || query_.filter.takes_all()) return item;
    if (const LogItem* given = hold_context(*item)) return given;
  }
}

void LogReader::see_changes() {
  unseen_ = 0;
  const std::set<std::string> changed = watch_->changed();
  bool again = unwatched_;  // what has come there meanwhile was not seen
  if (unwatched_) watch_folders();
  if (changed.empty() && !again) return;
  for (const auto& source : sources_) {
    const std::string folder =
        run_folder_ + "/.logs/" + source->reader().process() + "/" + std::to_string(source->reader().run());
    if (changed.contains(folder)) source->fresh = true;
  }
  for (const std::string& folder : changed) again = again || folder.starts_with(run_folder_ + "/checkpoints/");
  if (again) learn();
  discover();
}

bool LogReader::done() const {
  if (query_.follow && !over_) return false;
  return ready_.empty() && std::ranges::none_of(sources_, [](const auto& source) { return source->fresh; });
}

std::optional<Time> LogReader::wake_at() const {
  std::optional<Time> first;
  for (const auto& source : sources_)
    if (source->flush_at && (!first || *source->flush_at < *first)) first = source->flush_at;
  if (unwatched_ && (!first || now() + kFolderPatience < *first)) first = now() + kFolderPatience;
  return first;
}

void LogReader::wait(int patience_ms) {
  if (!watch_ || done()) return;
  if (const auto wake = wake_at()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*wake - now()).count();
    const int timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
    if (patience_ms < 0 || timeout < patience_ms) patience_ms = timeout;
  }
  pollfd watched{watch_->fd(), POLLIN, 0};
  ::poll(&watched, 1, patience_ms);
}

std::string LogReader::cursor() const {
  std::string text;
  for (const auto& source : sources_)
    if (const auto cursor = source->spot().cursor) text += (text.empty() ? "" : ",") + to_string(*cursor);
  return text;
}

std::vector<std::string> LogReader::processes() const {
  std::vector<std::string> names;
  for (const auto& source : sources_)
    if (names.empty() || names.back() != source->reader().process()) names.push_back(source->reader().process());
  return names;
}

}  // namespace dewar
