// Random lives of a run's logs - writes, rotations, compression, torn and damaged indexes, gaps - against a model that
// says in the simplest way what has to be read.
#include "tests/logs/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/support/temp_folder.h"
#include "thermos/logs/line_cutter.h"
#include "thermos/logs/log_reader.h"

namespace dewar {
namespace {

using Random = std::mt19937_64;
constexpr std::int64_t kStart = 1'767'323'045'000'000'000;

std::uint64_t todays_seed() {
  const char* given = std::getenv("DEWAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu (DEWAR_SEED repeats it)\n", static_cast<unsigned long long>(seed));
  return seed;
}

std::uint64_t below(Random& random, std::uint64_t limit) { return random() % limit; }

OutputStream some_stream(Random& random) {
  return below(random, 3) == 0 ? OutputStream::kStderr : OutputStream::kStdout;
}

std::string some_bytes(Random& random) {
  std::string text;
  if (below(random, 40) == 0) text.assign(50'000 + below(random, 250'000), 'L');  // longer than a piece
  for (std::uint64_t lines = below(random, 6); lines > 0; --lines) {
    for (std::uint64_t size = below(random, 60); size > 0; --size)
      text += below(random, 9) == 0 ? static_cast<char>(random()) : static_cast<char>('a' + below(random, 4));
    text += "\n";
  }
  if (below(random, 4) == 0) text += "part";
  return text.empty() ? "\n" : text;
}

/// A life of up to `steps` steps.
void live(FakePump& pump, Random& random, int steps, bool with_index) {
  std::int64_t time = kStart;
  // Without an index, what is gone is not known: then nothing goes.
  const unsigned backups = with_index ? 1 + static_cast<unsigned>(below(random, 5)) : 1000;
  for (int i = 0; i < steps; ++i) {
    time += static_cast<std::int64_t>(below(random, 4) * 250'000);
    const OutputStream stream = some_stream(random);
    const std::uint64_t step = below(random, 40);
    if (!with_index && step > 2 && step < 6) continue;
    switch (step) {
      case 0:
      case 1:
        pump.rotate(stream, backups);
        break;
      case 2:
        pump.compress(stream, 1 + below(random, 300'000));
        break;
      case 3:
        pump.rotate_index();
        break;
      case 4:
        pump.tear_index();
        break;
      case 5:
        pump.damage_record();
        break;
      case 6:
        pump.gap(stream, 1 + below(random, 1000), GapReason::kRate, time);
        break;
      case 7:
        pump.write(stream, some_bytes(random), time, false);
        break;
      default:
        pump.write(stream, some_bytes(random), time);
    }
  }
  if (below(random, 2) == 0) pump.end(time);
  if (below(random, 4) == 0) pump.write(some_stream(random), "behind the index\n", time, false);
}

std::vector<Told> read_on(RunReader& reader) {
  std::vector<Told> all;
  while (const LogItem* item = reader.next(true)) all.push_back(told(*item));
  return all;
}

/// Without what is told of bytes that were rotated away, and of gaps among those: that depends on where reading began.
std::vector<Told> there(const FakePump& pump, std::vector<Told> items) {
  std::erase_if(items, [&](const Told& item) {
    return !item.line && (item.cause == Missing::kRemoved || item.end < pump.begin(item.stream));
  });
  return items;
}

void expect_same(const std::vector<Told>& found, const std::vector<Told>& expected, const std::string& what) {
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
    if (i < found.size() && i < expected.size() && found[i] == expected[i]) continue;
    ADD_FAILURE() << what << ": item " << i << " of " << found.size() << " (expected " << expected.size()
                  << ")\n  found    " << (i < found.size() ? testing::PrintToString(found[i]) : "nothing")
                  << "\n  expected " << (i < expected.size() ? testing::PrintToString(expected[i]) : "nothing");
    return;
  }
}

/// What is found behind a cursor, when so many of all have been read: the mark of a gap there may be told again.
void expect_rest(std::vector<Told> found, const std::vector<Told>& all, std::size_t read, const std::string& what) {
  const std::vector<Told> rest(all.begin() + static_cast<std::ptrdiff_t>(read), all.end());
  std::erase_if(found, [&](const Told& item) {
    return !item.line && std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(read), item) != all.end() &&
           std::ranges::find(rest, item) == rest.end();
  });
  expect_same(found, rest, what);
}

class LogModel : public testing::TestWithParam<bool> {
 protected:
  LogModel() : folder_(run_ / ".logs/p/0") {}

  std::unique_ptr<RunReader> reader(bool out = true, bool err = true) const {
    auto opened = RunReader::open(folder_, {.process = "p", .run = 0, .out = out, .err = err, .only = nullptr});
    EXPECT_TRUE(opened) << opened.error().message();
    return *std::move(opened);
  }

  void check_seeks(const FakePump& pump, Random& random) const {
    const std::vector<Told> all = model_of(pump);
    const auto both = reader();
    expect_same(read_on(*both), all, "from the start");
    expect_same(read_on(*reader(true, false)), model_of(pump, true, false), "stdout alone");
    expect_same(read_on(*reader(false, true)), model_of(pump, false, true), "stderr alone");
    for (int tries = 0; tries < 12 && !all.empty(); ++tries) {
      const std::size_t at = below(random, all.size());
      if (all[at].line || all[at].other) {
        both->seek_position(all[at].stream, all[at].end, all[at].other);
        const std::vector<Told> before(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(at) + 1);
        expect_rest(there(pump, read_on(*both)), there(pump, all), there(pump, before).size(),
                    "behind " + testing::PrintToString(all[at]));
      }
      if (all[at].time) check_time(pump, all, *all[at].time + static_cast<std::int64_t>(below(random, 3)) - 1, *both);
    }
  }

  static void check_time(const FakePump& pump, const std::vector<Told>& all, std::int64_t time, RunReader& both) {
    const auto& records = pump.records();
    const auto first = std::ranges::find_if(records, [&](const IndexRecord& record) { return record.time >= time; });
    const auto event = static_cast<std::size_t>(first - records.begin());
    std::vector<Told> expected;
    for (const Told& item : all)
      if (item.event >= event) expected.push_back(item);
    both.seek_time(time);
    expect_same(there(pump, read_on(both)), there(pump, expected), "from time " + std::to_string(time));
  }

  std::vector<Told> query(LogQuery query) const {
    auto reader = LogReader::open(run_.path(), "t", std::move(query));
    EXPECT_TRUE(reader) << reader.error().message();
    std::vector<Told> all;
    while (const LogItem* item = (*reader)->next())
      if (item->kind == LogItem::Kind::kLine && item->match) all.push_back(told(*item));
    EXPECT_TRUE((*reader)->done());
    return all;
  }

  void check_queries(const FakePump& pump, Random& random) const {
    std::vector<Told> lines = model_of(pump), hits;
    std::erase_if(lines, [](const Told& item) { return !item.line; });
    std::ranges::copy_if(lines, std::back_inserter(hits),
                         [](const Told& t) { return t.text.find("ab") != t.text.npos; });
    const auto last = [](const std::vector<Told>& of, std::size_t count) {
      return std::vector<Told>(of.end() - static_cast<std::ptrdiff_t>(std::min(count, of.size())), of.end());
    };
    const std::size_t count = below(random, 30);
    LogQuery tail;
    tail.last = count;
    expect_same(query(tail), last(lines, count), "the last " + std::to_string(count));
    LogQuery text;
    text.filter = LineFilter::containing("ab");
    expect_same(query(text), hits, "lines with ab");
    text.last = count;
    expect_same(query(text), last(hits, count), "the last lines with ab");
    text.context = 2;
    expect_same(query(text), last(hits, count), "the same with context");
    LogQuery regex;
    regex.filter = *LineFilter::matching("a[b]");
    expect_same(query(regex), hits, "lines that match ab");
    LogQuery numbered;
    numbered.line = 1 + below(random, lines.size() + 1);
    expect_same(query(numbered), last(lines, lines.size() - std::min<std::size_t>(lines.size(), *numbered.line - 1)),
                "from line " + std::to_string(*numbered.line));
  }

  void check(std::uint64_t seed, int steps) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    FakePump pump(folder_, GetParam());
    live(pump, random, steps, GetParam());
    check_seeks(pump, random);
    check_queries(pump, random);
    ASSERT_TRUE(remove_tree(folder_));
  }

  TempFolder run_;
  std::string folder_;
};

INSTANTIATE_TEST_SUITE_P(, LogModel, testing::Bool(),
                         [](const auto& each) { return each.param ? "WithIndex" : "WithoutIndex"; });

TEST_P(LogModel, HoldsForFixedLives) {
  for (std::uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) check(seed, 20 + static_cast<int>(seed) * 4);
}

TEST_P(LogModel, HoldsForALifeOfTheDay) {
  const std::uint64_t seed = todays_seed();
  for (std::uint64_t i = 0; i < 10 && !HasFailure(); ++i) check(seed + i, 150);
}

/// Several processes with lives of their own, read as one.
class MergedModel : public testing::Test {
 protected:
  void begin(std::uint64_t seed, int steps) {
    random_.seed(seed);
    for (const char* name : {"a", "b", "c"}) {
      pumps_.push_back(std::make_unique<FakePump>(run_ / ".logs/" + std::string(name) + "/0"));
      live(*pumps_.back(), random_, static_cast<int>(below(random_, static_cast<std::uint64_t>(steps))), true);
      parts_.push_back(model_of(*pumps_.back(), true, true, name));
    }
    all_ = merged(parts_);
  }
  void end() {
    for (const auto& pump : pumps_) ASSERT_TRUE(remove_tree(pump->folder()));
    pumps_.clear(), parts_.clear();
  }
  std::vector<Told> there(std::vector<Told> items) const {
    std::erase_if(items, [&](const Told& item) {
      const FakePump& pump = *pumps_[static_cast<std::size_t>(item.process[0] - 'a')];
      return !item.line && (item.cause == Missing::kRemoved || item.end < pump.begin(item.stream));
    });
    return items;
  }
  std::unique_ptr<LogReader> open(LogQuery query) const {
    auto reader = LogReader::open(run_.path(), "t", std::move(query));
    EXPECT_TRUE(reader) << reader.error().message();
    return *std::move(reader);
  }
  static std::vector<Told> read(LogReader& reader, std::size_t most = SIZE_MAX) {
    std::vector<Told> items;
    while (items.size() < most) {
      const LogItem* item = reader.next();
      if (item == nullptr) break;
      items.push_back(told(*item));
    }
    return items;
  }
  std::vector<Told> query(LogQuery query) const { return there(read(*open(std::move(query)))); }

  static std::vector<Told> of(const std::string& process, std::vector<Told> items) {
    std::erase_if(items, [&](const Told& item) { return item.process != process; });
    return items;
  }

  template <class Taken>
  std::vector<Told> those(Taken taken) const {
    std::vector<std::vector<Told>> parts = parts_;
    for (auto& part : parts) taken(part);
    return there(merged(parts));
  }
  /// The items of one process that come with the first record of this time, or later ones.
  void since(std::vector<Told>& part, std::int64_t time) const {
    if (part.empty()) return;
    const auto& records = pumps_[static_cast<std::size_t>(part[0].process[0] - 'a')]->records();
    const auto first = std::ranges::find_if(records, [&](const IndexRecord& record) { return record.time >= time; });
    const auto event = static_cast<std::size_t>(first - records.begin());
    std::erase_if(part, [&](const Told& item) { return item.event < event; });
  }
  static void until(std::vector<Told>& part, std::int64_t time) {
    part.erase(std::ranges::find_if(part, [&](const Told& item) { return item.time && *item.time > time; }),
               part.end());
  }

  /// Wherever one stops, another goes on behind the cursor.
  void check_cursor() {
    const auto reader = open({});
    const std::size_t count = below(random_, all_.size() + 1);
    const std::vector<Told> items = read(*reader, count);
    if (items.empty()) return;
    LogQuery query;
    query.cursors = *parse_cursors(reader->cursor());
    const std::vector<Told> rest = this->query(query);
    for (const char* name : {"a", "b", "c"})  // a line without a time comes earlier where its process has none yet
      expect_rest(of(name, rest), of(name, there(all_)), of(name, there(items)).size(), "behind " + reader->cursor());
  }

  void check(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(seed, 120);
    expect_same(query({}), there(all_), "all");
    const std::int64_t from = kStart + static_cast<std::int64_t>(below(random_, 200) * 125'000);
    const std::int64_t to = from + static_cast<std::int64_t>(below(random_, 200) * 125'000);
    LogQuery between;
    between.since = from, between.until = to;
    expect_same(query(between), those([&](auto& part) { since(part, from), until(part, to); }), "between two times");
    between.since.reset();
    expect_same(query(between), those([&](auto& part) { until(part, to); }), "up to a time");
    LogQuery errors;
    errors.out = false;
    std::vector<std::vector<Told>> parts;
    for (const char* name : {"a", "b", "c"}) parts.push_back(model_of(*pumps_[parts.size()], false, true, name));
    expect_same(query(errors), there(merged(parts)), "stderr of all");
    LogQuery apart;
    apart.merge = false;
    std::vector<Told> one_by_one;
    for (const auto& part : parts_) one_by_one.insert(one_by_one.end(), part.begin(), part.end());
    expect_same(query(apart), there(one_by_one), "one process after the other");
    for (int tries = 0; tries < 8; ++tries) check_cursor();
    end();
  }

  TempFolder run_;
  Random random_;
  std::vector<std::unique_ptr<FakePump>> pumps_;
  std::vector<std::vector<Told>> parts_;
  std::vector<Told> all_;
};

TEST_F(MergedModel, HoldsForFixedLives) {
  for (std::uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) check(seed);
}

TEST_F(MergedModel, HoldsForALifeOfTheDay) {
  const std::uint64_t seed = todays_seed();
  for (std::uint64_t i = 0; i < 10 && !HasFailure(); ++i) check(seed + i);
}

}  // namespace
}  // namespace dewar
