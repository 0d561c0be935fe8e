#include "fetcher/extract.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/files.h"
#include "base/units.h"
#include "fetcher/extract/decompressor.h"
#include "fetcher/extract/names.h"
#include "fetcher/extract/ring.h"
#include "fetcher/extract/staging.h"
#include "fetcher/extract/unpack.h"

namespace dewar {
namespace {

constexpr std::size_t kReadBytes = 1u << 20;

bool looks_like_zip(std::string_view head) {
  return head.starts_with(std::string_view("PK\3\4", 4)) || head.starts_with(std::string_view("PK\5\6", 4));
}

/// Decodes `in`, whose first chunk is `first`, into `out`, until the end or until nobody wants any more.
Result<void> decode_all(Decompressor& decompressor, std::string_view first, Ring& in, Ring& out, std::uint64_t ratio) {
  std::string_view rest = first;
  std::uint64_t taken = 0, given = 0;
  bool last = false, done = false;
  while (!done) {
    if (rest.empty() && !last) {
      rest = DEWAR_TRY(in.next());
      last = rest.empty();
    }
    const std::span<char> space = out.space();
    if (space.empty()) return {};
    std::span<char> left = space;
    const std::size_t had = rest.size();
    done = DEWAR_TRY(decompressor.decode(rest, left, last));
    taken += had - rest.size();
    given += space.size() - left.size();
    out.fill(space.size() - left.size());
    if (given > ExtractLimits::kFreeBytes &&
        (given - ExtractLimits::kFreeBytes) / std::max<std::uint64_t>(taken, 1) >= ratio)
      return fail("the archive unpacks to more than " + std::to_string(ratio) + " times its size");
  }
  return {};
}

}  // namespace

/// The thread that unpacks, and what it shares with the thread that pushes: the ring, and (after the join) the outcome.
class Extractor::Work {
 public:
  Work(Staging staging, std::string name, const ExtractLimits& limits)
      : staging_(std::move(staging)),
        name_(std::move(name)),
        limits_(limits),
        meter_(limits_, report_),
        thread_([this] { run(); }) {}
  ~Work() { give_up(); }

  Result<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::span<char> space = in_.space();
      if (space.empty()) return finish_thread();
      const std::size_t count = std::min(space.size(), bytes.size());
      std::memcpy(space.data(), bytes.data(), count);
      in_.fill(count);
      bytes.remove_prefix(count);
      report_in_ += count;
    }
    return {};
  }

  Result<ExtractReport> finish() {
    in_.end();
    DEWAR_TRY(finish_thread());
    DEWAR_TRY(staging_.merge());
    report_.bytes_in = report_in_;
    return report_;
  }

  void give_up() {
    in_.fail({std::make_error_code(std::errc::operation_canceled), "unpack"});
    (void)finish_thread();
  }

 private:
  Result<void> finish_thread() {
    if (thread_.joinable()) thread_.join();
    return outcome_;
  }

  void run() {
    outcome_ = unpack();
    in_.stop();
  }

  Result<void> unpack() {
    const std::string_view first = DEWAR_TRY(in_.next());
    const Compression compression = compression_of(first);
    if (compression != Compression::kNone) return unpack_compressed(compression, first);
    if (looks_like_zip(first)) return unpack_spooled_zip(first);
    report_.format = "tar";
    if (looks_like_tar(first, ".tar")) return unpack_tar(first, in_, staging_, meter_);
    if (first.empty()) return fail("the archive is empty");
    return fail("neither tar nor zip, nor in gzip, bzip2, xz or zstd: it begins with " + shown(first.substr(0, 8)));
  }

  Result<void> unpack_compressed(Compression compression, std::string_view first) {
    Ring decoded;
    std::thread decoding([&] {
      const auto decompressor = make_decompressor(compression);
      const auto done = decode_all(*decompressor, first, in_, decoded, limits_.ratio);
      if (done) decoded.end();
      if (!done) decoded.fail(done.error());
    });
    auto done = unpack_decoded(suffix_of(compression), decoded);
    decoded.stop();
    in_.stop();
    decoding.join();
    return done;
  }

  Result<void> unpack_decoded(std::string_view suffix, Ring& decoded) {
    const std::string_view first = DEWAR_TRY(decoded.next());
    report_.format = suffix;
    if (!looks_like_tar(first, name_)) return unpack_single(first, decoded, single_name(name_), staging_, meter_);
    report_.format.insert(0, "tar.");
    return unpack_tar(first, decoded, staging_, meter_);
  }

  Result<void> unpack_spooled_zip(std::string_view first) {
    const UniqueFd file = DEWAR_TRY(staging_.nameless_file());
    std::uint64_t size = 0;
    for (std::string_view chunk = first; !chunk.empty(); chunk = DEWAR_TRY(in_.next())) {
      DEWAR_TRY(write_all(file.get(), chunk, "the zip archive"));
      size += chunk.size();
    }
    report_.format = "zip";
    return unpack_zip(file.get(), size, staging_, meter_);
  }

  Ring in_;
  Staging staging_;
  const std::string name_;
  const ExtractLimits limits_;
  ExtractReport report_;
  Meter meter_;
  Result<void> outcome_;
  std::uint64_t report_in_ = 0;
  std::thread thread_;
};

Extractor::Extractor(std::unique_ptr<Work> work) : work_(std::move(work)) {}
Extractor::Extractor(Extractor&&) noexcept = default;
Extractor& Extractor::operator=(Extractor&&) noexcept = default;
Extractor::~Extractor() = default;

Result<Extractor> Extractor::start(UniqueFd target, std::string name, ExtractLimits limits) {
  Staging staging = DEWAR_TRY(Staging::make(std::move(target)));
  return Extractor(std::make_unique<Work>(std::move(staging), std::move(name), limits));
}

Result<void> Extractor::write(std::string_view bytes) { return work_->write(bytes); }

Result<ExtractReport> Extractor::finish() { return work_->finish(); }

namespace {

Result<ExtractReport> extract_zip_file(int archive, std::uint64_t size, UniqueFd target, const ExtractLimits& limits) {
  ExtractReport report{.format = "zip", .bytes_in = size};
  Staging staging = DEWAR_TRY(Staging::make(std::move(target)));
  Meter meter(limits, report);
  DEWAR_TRY(unpack_zip(archive, size, staging, meter));
  DEWAR_TRY(staging.merge());
  return report;
}

}  // namespace

Result<ExtractReport> extract_file(int archive, UniqueFd target, std::string name, ExtractLimits limits) {
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  struct stat info {};
  if (::fstat(archive, &info) != 0) return fail_errno("stat the archive");
  const ssize_t head = retry_eintr([&] { return ::pread(archive, buffer.get(), 4, 0); });
  if (head > 0 && looks_like_zip({buffer.get(), static_cast<std::size_t>(head)}))
    return extract_zip_file(archive, static_cast<std::uint64_t>(info.st_size), std::move(target), limits);
  Extractor extractor = DEWAR_TRY(Extractor::start(std::move(target), std::move(name), limits));
  while (true) {
    const ssize_t n = retry_eintr([&] { return ::read(archive, buffer.get(), kReadBytes); });
    if (n < 0) return fail_errno("read the archive");
    if (n == 0) return extractor.finish();
    DEWAR_TRY(extractor.write({buffer.get(), static_cast<std::size_t>(n)}));
  }
}

}  // namespace dewar
