#include "thermos/logs/run_reader.h"

#include <fcntl.h>

#include <algorithm>

#include "base/files.h"

namespace dewar {
namespace {

std::size_t number(OutputStream stream) { return stream == OutputStream::kStderr; }

/// Behind the bytes of a record; nothing if that is nonsense.
std::optional<std::uint64_t> end_of(const IndexRecord& record) {
  const std::uint64_t size = record.kind == IndexKind::kData ? record.value : 0;
  if (record.position > kMostPosition || size > kMostPosition - record.position) return std::nullopt;
  return record.position + size;
}

bool has_time(const IndexRecord& record) {
  return record.kind == IndexKind::kData || record.kind == IndexKind::kGap || record.kind == IndexKind::kEnd;
}

}  // namespace

Result<std::unique_ptr<RunReader>> RunReader::open(const std::string& folder, Wish wish) {
  UniqueFd fd = DEWAR_TRY(open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  std::unique_ptr<RunReader> reader(new RunReader(std::move(fd), std::move(wish)));
  reader->seek_start();
  return reader;
}

RunReader::RunReader(UniqueFd folder, Wish wish)
    : folder_(std::move(folder)),
      wish_(std::move(wish)),
      index_(folder_),
      starts_(folder_),
      out_(folder_, OutputStream::kStdout, starts_),
      err_(folder_, OutputStream::kStderr, starts_) {
  out_.wanted = wish_.out;
  err_.wanted = wish_.err;
}

RunReader::Place RunReader::oldest() {
  Place place;
  place.given[0] = out_.files.begin();
  place.given[1] = err_.files.begin();
  return place;
}

void RunReader::Place::pass(const IndexRecord& record, std::uint64_t end) {
  const std::size_t i = number(record.stream);
  if (end > given[i]) time[i] = record.kind == IndexKind::kData ? std::optional(record.time) : std::nullopt;
  given[i] = std::max(given[i], end);
  if (record.kind != IndexKind::kData) floor[i] = record.position;  // the line before it has been told
}

std::uint64_t RunReader::begin_total() {
  return (out_.wanted ? out_.files.begin() : 0) + (err_.wanted ? err_.files.begin() : 0);
}

std::uint64_t RunReader::end_total() {
  return (out_.wanted ? out_.files.end() : 0) + (err_.wanted ? err_.files.end() : 0);
}

void RunReader::begin_at(const Place& place, std::array<bool, 2> exact) {
  giving_ = nullptr;
  gap_.reset();
  removed_.clear();
  told_ = true;
  for (Stream* stream : {&out_, &err_}) {
    const std::size_t i = number(stream->name);
    stream->given = place.given[i];
    stream->time = place.time[i];
    if (!stream->wanted) continue;
    const std::uint64_t floor = std::max(place.floor[i], stream->files.begin());
    if (exact[i] || stream->given <= floor) {
      stream->cutter.start_at(stream->given);
    } else {
      stream->cutter.start_with_line_at(stream->given, floor);
    }
    stream->told = stream->cutter.position();
  }
}

void RunReader::seek_start() {
  auto segments = index_.segments();
  index_.go_to(segments.empty() ? IndexReader::Segment{} : std::move(segments.front()));
  begin_at(Place{});
}

/// A stream of which the segment does not tell is where it is at the start of the next.
RunReader::Place RunReader::first_in(const IndexReader::Segment& segment, const Place& next,
                                     std::optional<std::int64_t>& time) const {
  Place place = next;
  bool found[2] = {false, false};
  std::string block;
  for (std::uint64_t at = 0; !(found[0] && found[1]); at += block.size()) {
    block = read_records(segment.fd.get(), at);
    if (block.empty()) break;
    for (std::string_view rest = block; !rest.empty(); rest.remove_prefix(kIndexRecordSize)) {
      const auto record = decode_index_record(rest);
      if (!record || !has_time(*record)) continue;
      if (!time) time = record->time;
      const std::size_t i = number(record->stream);
      if (!found[i]) place.given[i] = record->position;
      found[i] = true;
      if (found[0] && found[1]) break;
    }
  }
  return place;
}

/// Each stream is behind its last record there.
RunReader::Place RunReader::before(const std::vector<IndexReader::Segment>& segments, std::size_t at) {
  Place place = oldest();
  bool done[2] = {false, false};
  while (at-- > 0 && !(done[0] && done[1])) {
    bool found[2] = {done[0], done[1]};
    std::string block;
    for (std::uint64_t from = 0; !(block = read_records(segments[at].fd.get(), from)).empty(); from += block.size()) {
      for (std::string_view rest = block; !rest.empty(); rest.remove_prefix(kIndexRecordSize)) {
        const std::size_t i = number(static_cast<OutputStream>(rest[1]));
        const auto record = done[i] ? std::nullopt : decode_index_record(rest);
        if (!record || !has_time(*record)) continue;
        found[i] = true;
        if (const auto end = end_of(*record)) place.pass(*record, *end);
      }
    }
    std::copy(found, found + 2, done);
  }
  return place;
}

template <class Ahead, class Stop>
RunReader::Place RunReader::find(Ahead ahead, Stop stop) {
  auto segments = index_.segments();
  Place place;
  place.given[0] = out_.files.end();
  place.given[1] = err_.files.end();
  std::size_t from = segments.size();
  for (bool ahead_of_it = false; from > 0 && !ahead_of_it;) {
    std::optional<std::int64_t> time;
    place = first_in(segments[--from], place, time);
    ahead_of_it = ahead(place, time);
  }
  place = before(segments, from);
  index_.go_to(segments.empty() ? IndexReader::Segment{} : std::move(segments[from]));
  while (const IndexRecord* record = index_.peek()) {
    const auto end = end_of(*record);
    if (end && has_time(*record)) {
      if (stop(*record, place)) break;
      place.pass(*record, *end);
    }
    index_.pop();
  }
  return place;
}

void RunReader::seek_time(std::int64_t time) {
  begin_at(find([&](const Place&, std::optional<std::int64_t> first) { return first && *first < time; },
                [&](const IndexRecord& record, const Place&) { return record.time >= time; }));
}

/// With the first record that is not about what is before both places.
void RunReader::seek_both(const std::uint64_t (&positions)[2]) {
  Place place =
      find([&](const Place& first,
               std::optional<std::int64_t>) { return first.given[0] < positions[0] && first.given[1] < positions[1]; },
           [&](const IndexRecord& record, const Place&) {
             const std::uint64_t end = *end_of(record), known = positions[number(record.stream)];
             return record.kind == IndexKind::kData ? end > known : end >= known;
           });
  std::copy(positions, positions + 2, place.given);
  begin_at(place, {true, true});
}

void RunReader::seek_position(OutputStream stream, std::uint64_t position, std::optional<std::uint64_t> other) {
  if (position == 0 && other.value_or(0) == 0) return seek_start();
  position = std::min(position, kMostPosition);
  const std::size_t i = number(stream);
  if (other) {
    std::uint64_t positions[2] = {position, position};
    positions[1 - i] = std::min(*other, kMostPosition);
    return seek_both(positions);
  }
  bool found = false;
  std::optional<std::int64_t> time;  // of the byte before
  Place place = find([&](const Place& first, std::optional<std::int64_t>) { return first.given[i] < position; },
                     [&](const IndexRecord& record, const Place&) {
                       found = record.stream == stream && *end_of(record) >= position;
                       if (found && record.position < position) time = record.time;
                       return found;
                     });
  place.given[i] = position;
  if (time) place.time[i] = time;
  // What the index does not tell of is read one stream after the other.
  if (const std::uint64_t end = out_.files.end(); !found && i == 1 && end > place.given[0]) {
    place.given[0] = end;
    place.time[0].reset();
  }
  begin_at(place, {i == 0, i == 1});
}

void RunReader::seek_total(std::uint64_t total) {
  const bool wanted[2] = {out_.wanted, err_.wanted};
  const auto sum = [&](const Place& place) {
    return (wanted[0] ? place.given[0] : 0) + (wanted[1] ? place.given[1] : 0);
  };
  bool stopped = false;
  std::optional<std::size_t> within;
  Place place = find([&](const Place& first, std::optional<std::int64_t>) { return sum(first) < total; },
                     [&](const IndexRecord& record, const Place& before) {
                       const std::size_t i = number(record.stream);
                       if (!wanted[i]) return false;
                       const std::uint64_t more = *end_of(record) - std::min(*end_of(record), before.given[i]);
                       stopped = sum(before) + more >= total;
                       if (stopped) within = i;
                       return stopped;
                     });
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    if (!wanted[i] || (within && *within != i) || sum(place) >= total) continue;
    const std::uint64_t end = (i == 0 ? out_ : err_).files.end();
    place.given[i] += std::min(total - sum(place), end - std::min(end, place.given[i]));
  }
  begin_at(place);
}

void RunReader::give(Stream& stream, std::uint64_t end, std::optional<std::int64_t> time) {
  stream.given = end;
  stream.time = time;
  giving_ = &stream;
}

void RunReader::take(const IndexRecord& record) {
  Stream& stream = of(record.stream);
  const auto end = end_of(record);
  const bool behind = !end || *end < stream.given || (record.kind == IndexKind::kData && *end == stream.given);
  if (!has_time(record) || !stream.wanted || behind) return index_.pop();
  // Bytes of which the index does not tell: somewhere before this record.
  if (record.position > stream.given) return give(stream, record.position, std::nullopt);
  if (record.kind == IndexKind::kData) {
    give(stream, *end, record.time);
  } else {
    gap_ = record;
  }
  index_.pop();
}

LogItem& RunReader::fresh(LogItem::Kind kind, OutputStream stream, std::optional<std::int64_t> time) {
  item_ = {};
  item_.kind = kind;
  item_.process = wish_.process;
  item_.run = wish_.run;
  item_.time = time;
  item_.stream = stream;
  return item_;
}

const LogItem* RunReader::from_cut(Stream& stream, const LineCutter::Cut& cut) {
  stream.given = std::max(stream.given, cut.end);  // what is missing may reach beyond what the record told of
  LogItem& item = fresh(cut.missing ? LogItem::Kind::kGap : LogItem::Kind::kLine, stream.name, stream.time);
  item.position = cut.position;
  item.end = cut.end;
  item.text = cut.text;
  item.continued = cut.continued;
  item.unfinished = cut.unfinished;
  item.cause = cut.damaged ? Missing::kUnreadable : Missing::kRemoved;
  if (cut.missing) item.missing = cut.end - cut.position;
  return &item;
}

const LogItem* RunReader::from_gap(const IndexRecord& record) {
  LogItem& item = fresh(LogItem::Kind::kGap, record.stream, record.time);
  item.position = item.end = record.position;
  item.cause = missing_for(record.reason);
  item.missing = record.value;
  return &item;
}

/// Hands out what is in the files beyond the index. False: nothing is.
bool RunReader::give_unindexed() {
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->wanted) continue;
    const std::uint64_t end = stream->files.end();
    if (end <= stream->given) continue;
    give(*stream, end, std::nullopt);
    return true;
  }
  return false;
}

/// What is left of the bytes that were handed out, a line without end included.
bool RunReader::finish(Stream& stream, LineCutter::Cut& cut) {
  return stream.cutter.next(stream.given, wish_.only, cut) || stream.cutter.flush(cut);
}

/// A gap that went on growing has several records, one behind the other.
IndexRecord RunReader::whole_gap() {
  IndexRecord whole = *gap_;
  while (const IndexRecord* more = index_.peek()) {
    IndexRecord same = *more;
    same.value = gap_->value;
    if (has_time(*more) && of(more->stream).wanted && same != *gap_) break;
    if (same == *gap_) whole.value += more->value;
    index_.pop();
  }
  return whole;
}

const LogItem* RunReader::one(bool all) {
  LineCutter::Cut cut;
  for (;;) {
    if (giving_ != nullptr) {
      if (giving_->cutter.next(giving_->given, wish_.only, cut)) return from_cut(*giving_, cut);
      giving_ = nullptr;
    }
    if (gap_) {
      Stream& stream = of(gap_->stream);
      if (finish(stream, cut)) return from_cut(stream, cut);
      const IndexRecord record = whole_gap();
      gap_.reset();
      if (record.kind == IndexKind::kGap && record.value > 0) return from_gap(record);
      continue;
    }
    if (const IndexRecord* record = index_.peek()) {
      take(*record);
      continue;
    }
    if (!all && index_.exists()) return nullptr;
    if (give_unindexed()) continue;
    if (!all) return nullptr;
    for (Stream* stream : {&out_, &err_})
      if (stream->wanted && finish(*stream, cut)) return from_cut(*stream, cut);
    return nullptr;
  }
}

/// Behind what is told out of the order of the index, a cursor has to know both streams' places.
const LogItem* RunReader::tell(LogItem& item) {
  Stream& stream = of(item.stream);
  const Stream& other = &stream == &out_ ? err_ : out_;
  if (other.wanted && (item.unfinished || item.kind == LogItem::Kind::kGap)) item.other = other.told;
  stream.told = item.end;
  return &item;
}

/// What is missing from files is told at once, however many records are about it.
const LogItem* RunReader::next(bool all) {
  const auto from_files = [](const LogItem& item) {
    return item.kind == LogItem::Kind::kGap && (item.cause == Missing::kRemoved || item.cause == Missing::kUnreadable);
  };
  if (removed_.empty() && told_) {
    for (const LogItem* item = one(all); item != nullptr; item = one(all)) {
      told_ = from_files(*item);
      if (!told_) break;
      const auto same = std::ranges::find_if(removed_, [&](const LogItem& other) {
        return other.stream == item->stream && other.cause == item->cause && other.end == item->position;
      });
      if (same == removed_.end()) {
        removed_.push_back(*item);
      } else {
        same->end = item->end;
        same->missing += item->missing;
      }
    }
  } else if (!removed_.empty()) {
    removed_.pop_front();
  }
  if (!removed_.empty()) return tell(removed_.front());
  if (told_) return nullptr;
  told_ = true;
  return tell(item_);
}

}  // namespace dewar
