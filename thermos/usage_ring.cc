#include "thermos/usage_ring.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "base/crc32c.h"
#include "base/files.h"

namespace dewar {
namespace {

static_assert(std::endian::native == std::endian::little, "slots are little-endian");

constexpr std::string_view kMagic = "DWUH";
constexpr std::uint32_t kVersion = 1;
constexpr std::int64_t kUnknown = -1;
constexpr std::uint32_t kMostHeld = 59;  // samples: with their successor a minute
constexpr std::uint32_t kTensOfAMinute = 6;
constexpr auto kTick = std::chrono::seconds(1);
constexpr std::size_t kValues = std::size(kUsageFields);

/// Of what goes up and down, what coarse slots keep the least and the most of.
struct Extreme {
  Amount Usage::*value;
  Amount UsagePoint::*least;
  Amount UsagePoint::*most;
};
constexpr Extreme kExtremes[] = {
    {&Usage::memory_bytes, &UsagePoint::memory_min, &UsagePoint::memory_max},
    {&Usage::working_set_bytes, &UsagePoint::working_set_min, &UsagePoint::working_set_max},
    {&Usage::pids, &UsagePoint::pids_min, &UsagePoint::pids_max},
};

/// A slot of either size, as it stands in the file.
struct Slot {
  std::uint32_t crc, tick;
  std::int64_t time_us;
  std::uint32_t held, samples;
  std::int64_t values[kValues];
  std::int64_t extremes[2 * std::size(kExtremes)];
};
static_assert(offsetof(Slot, extremes) == kSecondSlotSize && sizeof(Slot) == kWindowSlotSize);

struct Header {
  char magic[4];
  std::uint32_t version;
  char boot_id[36];
  std::uint32_t fields;
  std::int64_t base_ns, base_us;  // of CLOCK_MONOTONIC in that boot, and of the wall clock, at the history's beginning
};
static_assert(sizeof(Header) == kUsageHeaderSize);

std::uint32_t sum_of(const Slot& slot, std::size_t size) {
  return crc32c({reinterpret_cast<const char*>(&slot) + sizeof slot.crc, size - sizeof slot.crc});
}

/// Where in a slot's values those stand that go up and down.
constexpr auto kGaugePlaces = [] {
  std::array<std::size_t, std::ranges::count(kUsageFields, UsageKind::kGauge, &UsageField::kind)> places{};
  std::size_t n = 0;
  for (std::size_t i = 0; i < kValues; ++i) {
    if (kUsageFields[i].kind == UsageKind::kGauge) places[n++] = i;
  }
  return places;
}();

std::size_t gauge_of(Amount Usage::*value) {
  std::size_t i = 0;
  while (kUsageFields[kGaugePlaces[i]].value != value) ++i;
  return i;
}

Amount amount_of(std::int64_t value) { return value < 0 ? Amount() : Amount(value); }

UsagePoint point_of(const Slot& slot, const UsageRingShape& shape) {
  UsagePoint point;
  point.tick = slot.tick;
  point.time = static_cast<double>(slot.time_us) / 1e6;
  point.samples = shape.seconds == 1 ? 1 : slot.samples;
  for (std::size_t i = 0; i < kValues; ++i) point.usage.*kUsageFields[i].value = amount_of(slot.values[i]);
  if (shape.seconds == 1) return point;
  for (std::size_t i = 0; i < std::size(kExtremes); ++i) {
    point.*kExtremes[i].least = amount_of(slot.extremes[2 * i]);
    point.*kExtremes[i].most = amount_of(slot.extremes[2 * i + 1]);
  }
  return point;
}

std::int64_t wall_us(const Clock& clock) { return static_cast<std::int64_t>(clock.wall() * 1e6); }

std::string text_at(int fd, std::uint32_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  const ssize_t n = retry_eintr([&] { return ::pread(fd, bytes.data(), size, offset); });
  bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return bytes;
}

bool is_header(const Header& header) {
  return std::string_view(header.magic, 4) == kMagic && header.version == kVersion && header.fields == kValues;
}

/// The slots that count: each at its place, and none of a lap before the newest one's. In order.
std::vector<Slot> good_slots(const UsageRingShape& shape, std::string_view bytes) {
  std::vector<Slot> slots;
  const std::size_t count = std::min<std::size_t>(bytes.size() / shape.slot_size, shape.slots);
  std::uint32_t newest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Slot slot{};
    std::memcpy(&slot, bytes.data() + i * shape.slot_size, shape.slot_size);
    if (slot.tick % shape.slots != i || slot.crc != sum_of(slot, shape.slot_size)) continue;
    newest = std::max(newest, slot.tick);
    slots.push_back(slot);
  }
  std::erase_if(slots, [&](const Slot& slot) { return newest - slot.tick >= shape.slots; });
  std::ranges::sort(slots, {}, &Slot::tick);
  return slots;
}

}  // namespace

// ---- Writing

Result<UsageRing> UsageRing::open(const std::string& path, const Clock& clock, const std::string& boot_id) {
  UniqueFd file = DEWAR_TRY(open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
  Header header{};
  const std::string begin = text_at(file.get(), 0, sizeof header);
  std::memcpy(&header, begin.data(), begin.size());
  if (!begin.empty() && !is_header(header)) {
    if (::rename(path.c_str(), (path + ".damaged").c_str()) != 0) return fail_errno("set " + path + " aside");
    file = DEWAR_TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL, 0644));
  }
  const bool fresh = !is_header(header);
  const std::string seconds =
      fresh ? "" : text_at(file.get(), kSecondRing.offset, std::size_t{kSecondRing.slots} * kSecondRing.slot_size);
  const std::int64_t now_ns = clock.now().time_since_epoch().count(), now_us = wall_us(clock);
  std::string boot = boot_id;
  boot.resize(sizeof header.boot_id);
  if (fresh || std::string_view(header.boot_id, sizeof header.boot_id) != boot) {
    // After a reboot the other clock tells how much time has passed: never less than none.
    const auto before = good_slots(kSecondRing, seconds);
    const std::int64_t least = before.empty() ? 0 : (std::int64_t{before.back().tick} + 1) * 1'000'000;
    const std::int64_t passed_us = fresh ? 0 : std::max(now_us - header.base_us, least);
    std::memcpy(header.magic, kMagic.data(), sizeof header.magic);
    header.version = kVersion;
    header.fields = kValues;
    std::memcpy(header.boot_id, boot.data(), sizeof header.boot_id);
    header.base_ns = now_ns - passed_us * 1000;
    if (fresh) header.base_us = now_us;
    if (::pwrite(file.get(), &header, sizeof header, 0) != sizeof header) return fail_errno("write " + path);
    if (::ftruncate(file.get(), kUsageFileSize) != 0) return fail_errno("write " + path);
  }
  UsageRing ring(std::move(file), Time(Duration(header.base_ns)));
  ring.take_up(seconds);
  return ring;
}

/// Goes on where another writer has stopped: what was sampled of the spans that are not over is counted again.
void UsageRing::take_up(std::string_view seconds) {
  const std::vector<UsagePoint> points = decode_usage_ring(kSecondRing, seconds);
  if (points.empty()) return;
  const std::uint32_t minute = points.back().tick / kMinuteRing.seconds;
  for (const UsagePoint& point : points) {
    for (std::size_t i = 0; i < kValues; ++i) values_[i] = (point.usage.*kUsageFields[i].value).value_or(kUnknown);
    seen_us_ = static_cast<std::int64_t>(point.time * 1e6);
    if (point.tick / kMinuteRing.seconds == minute) (void)count(point.tick, seen_us_, values_, false);
    written_ = seen_ = point.tick;
    any_ = true;
  }
}

Result<void> UsageRing::add(const Clock& clock, const Usage& usage) {
  const auto passed = (clock.now() - base_) / kTick;
  const auto tick = static_cast<std::uint32_t>(std::clamp<std::int64_t>(passed, 0, UINT32_MAX));
  const std::int64_t time_us = wall_us(clock);
  if (any_ && tick < seen_) return {};  // cannot be: the clock is monotonic, but the file may lie
  Values values;
  for (std::size_t i = 0; i < kValues; ++i) values[i] = (usage.*kUsageFields[i].value).value_or(kUnknown);
  const bool next = any_ && tick == seen_ + 1;
  if (next && values == values_ && tick - written_ <= kMostHeld) {
    seen_ = tick;
    seen_us_ = time_us;
    return count(tick, time_us, values, true);
  }
  const bool same = next && values == values_;
  if (any_ && !next && tick != seen_) DEWAR_TRY(write_held());
  const std::uint32_t held = next ? seen_ - written_ : 0;
  const bool again = any_ && tick == seen_;
  if (again && seen_ != written_) {
    // The last held sample is replaced; those before it are told by the slot that replaces it.
    DEWAR_TRY(write_second(tick, time_us, values, seen_ - written_ - 1));
  } else {
    DEWAR_TRY(write_second(tick, time_us, values, held));
  }
  any_ = true;
  written_ = seen_ = tick;
  seen_us_ = time_us;
  values_ = values;
  if (!again) return count(tick, time_us, values, same);
  ten_.same = ten_.steady = false;
  return {};
}

Result<void> UsageRing::flush() {
  if (!any_) return {};
  DEWAR_TRY(write_held());
  // A history that is shorter than a span is in the seconds, and need not take a page more of the disk.
  if (ten_.tick > 0) DEWAR_TRY(write_window(ten_, tens_held_));
  return minute_.tick > 0 ? write_window(minute_) : Result<void>{};
}

Result<void> UsageRing::write_held() {
  if (seen_ != written_) DEWAR_TRY(write_second(seen_, seen_us_, values_, seen_ - written_ - 1));
  written_ = seen_;
  return {};
}

Result<void> UsageRing::write_second(std::uint32_t tick, std::int64_t time_us, const Values& values,
                                     std::uint32_t held) {
  Slot slot{};
  slot.tick = tick;
  slot.time_us = time_us;
  slot.held = held;
  slot.samples = 1;
  std::ranges::copy(values, slot.values);
  slot.crc = sum_of(slot, kSecondSlotSize);
  const off_t place = kSecondRing.offset + off_t{tick % kSecondRing.slots} * kSecondSlotSize;
  if (::pwrite(file_.get(), &slot, kSecondSlotSize, place) != ssize_t{kSecondSlotSize})
    return fail_errno("write the history of usage");
  return {};
}

Result<void> UsageRing::write_window(const Window& window, std::uint32_t held) const {
  if (window.samples == 0) return {};
  Slot slot{};
  slot.tick = window.tick;
  slot.time_us = window.time_us;
  slot.held = held;
  slot.samples = window.samples;
  std::ranges::copy(window.last, slot.values);
  for (std::size_t i = 0; i < kGauges; ++i) {
    const Window::Gauge& gauge = window.gauges[i];
    if (gauge.count > 0) slot.values[kGaugePlaces[i]] = gauge.sum / gauge.count;
  }
  for (std::size_t i = 0; i < std::size(kExtremes); ++i) {
    const Window::Gauge& gauge = window.gauges[gauge_of(kExtremes[i].value)];
    slot.extremes[2 * i] = gauge.count > 0 ? gauge.least : kUnknown;
    slot.extremes[2 * i + 1] = gauge.count > 0 ? gauge.most : kUnknown;
  }
  slot.crc = sum_of(slot, kWindowSlotSize);
  const off_t place = window.shape->offset + off_t{window.tick % window.shape->slots} * kWindowSlotSize;
  if (::pwrite(file_.get(), &slot, kWindowSlotSize, place) != ssize_t{kWindowSlotSize})
    return fail_errno("write the history of usage");
  return {};
}

/// Ten seconds in which nothing has changed are told by the next slot, but for the last ones of a minute: a successor
/// of ours counts again what was sampled in a minute that is not over.
Result<void> UsageRing::end_ten(std::uint32_t next) {
  const bool whole = ten_.samples == kTenSecondRing.seconds, last = ten_.tick % kTensOfAMinute == kTensOfAMinute - 1;
  if (whole && ten_.same && ten_before_steady_ && !last && next == ten_.tick + 1) {
    ++tens_held_;
    return {};
  }
  DEWAR_TRY(write_window(ten_, std::exchange(tens_held_, 0)));
  ten_before_steady_ = whole && ten_.steady;
  return {};
}

/// Counts a second into the longer spans; one that is over by now is written.
Result<void> UsageRing::count(std::uint32_t tick, std::int64_t time_us, const Values& values, bool same) {
  for (Window* window : {&ten_, &minute_}) {
    const std::uint32_t span = tick / window->shape->seconds;
    if (window->samples > 0 && span != window->tick) {
      DEWAR_TRY(window == &ten_ ? end_ten(span) : write_window(minute_));
      *window = Window{window->shape};
    }
    window->tick = span;
    count_in(*window, time_us, values, same);
  }
  return {};
}

void UsageRing::count_in(Window& window, std::int64_t time_us, const Values& values, bool same) {
  window.same = window.same && same;
  window.steady = window.steady && (same || window.samples == 0);
  ++window.samples;
  window.time_us = time_us;
  window.last = values;
  for (std::size_t i = 0; i < kGauges; ++i) {
    const std::int64_t value = values[kGaugePlaces[i]];
    if (value == kUnknown) continue;
    Window::Gauge& gauge = window.gauges[i];
    gauge.least = gauge.count == 0 ? value : std::min(gauge.least, value);
    gauge.most = gauge.count == 0 ? value : std::max(gauge.most, value);
    gauge.sum += value;
    ++gauge.count;
  }
}

// ---- Reading

std::vector<UsagePoint> decode_usage_ring(const UsageRingShape& shape, std::string_view bytes) {
  std::vector<UsagePoint> points;
  for (const Slot& slot : good_slots(shape, bytes)) {
    UsagePoint point = point_of(slot, shape);
    // Samples that were the same as the one before are not in the file: the next slot counts them.
    const std::uint32_t most_held = shape.seconds == 1 ? kMostHeld : shape.seconds == 10 ? kTensOfAMinute - 1 : 0;
    const bool follows =
        slot.held > 0 && slot.held <= most_held && !points.empty() && points.back().tick + slot.held + 1 == slot.tick;
    if (follows) {
      const UsagePoint before = points.back();
      for (std::uint32_t i = 1; i <= slot.held; ++i) {
        points.push_back(before);
        points.back().tick += i;
        points.back().time += (point.time - before.time) * i / (slot.held + 1);
      }
    }
    points.push_back(point);
  }
  return points;
}

Result<std::vector<UsagePoint>> read_usage_ring(const std::string& path, const UsageRingShape& shape) {
  const UniqueFd file = DEWAR_TRY(open_file(path, O_RDONLY));
  Header header{};
  const std::string begin = text_at(file.get(), 0, sizeof header);
  std::memcpy(&header, begin.data(), begin.size());
  if (!is_header(header)) return fail(std::errc::bad_message, "read " + path + ": it is no history of usage");
  return decode_usage_ring(shape, text_at(file.get(), shape.offset, std::size_t{shape.slots} * shape.slot_size));
}

Result<UsageHistory> read_usage_history(const std::string& path, Duration span) {
  const auto reaches = [&](const UsageRingShape& shape) {
    return span <= std::chrono::seconds(shape.seconds) * shape.slots;
  };
  const UsageRingShape& shape = reaches(kSecondRing)      ? kSecondRing
                                : reaches(kTenSecondRing) ? kTenSecondRing
                                                          : kMinuteRing;
  UsageHistory history{shape.seconds, DEWAR_TRY(read_usage_ring(path, shape))};
  if (shape.seconds > 1) {
    // Spans whose slot the writer has not come to: the last sample of each stands for them.
    for (UsagePoint& second : DEWAR_TRY(read_usage_ring(path, kSecondRing))) {
      second.tick /= shape.seconds;
      if (!history.points.empty() && second.tick < history.points.back().tick) continue;
      if (history.points.empty() || second.tick > history.points.back().tick) {
        history.points.push_back(second);
      } else if (second.time > history.points.back().time) {
        history.points.back() = second;
      }
    }
  }
  const auto most = static_cast<std::int64_t>(span / std::chrono::seconds(shape.seconds));
  if (!history.points.empty()) {
    const std::int64_t newest = history.points.back().tick;
    std::erase_if(history.points, [&](const UsagePoint& point) { return newest - point.tick >= most; });
  }
  return history;
}

std::string usage_file(const std::string& run_folder, const std::string& process, int run) {
  return run_folder + "/usage/" + process + "." + std::to_string(run);
}

std::string usage_file(const std::string& run_folder) { return run_folder + "/usage/task"; }

}  // namespace dewar
