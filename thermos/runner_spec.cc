#include "thermos/runner_spec.h"

#include "base/crc32c.h"
#include "base/encoding.h"
#include "thermos/plan.h"

namespace dewar {
namespace {

constexpr std::string_view kMagic = "DWRS";
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeaderSize = 16;  // magic, version, length, CRC-32C of what follows

Failure unfit(const std::string& words) { return fail(std::errc::bad_message, "runner spec: " + words); }

/// Values that fit the wire but no meaning.
bool sensible(const LogPolicy& log) { return log.destination <= LogDestination::kNone && log.mode <= LogMode::kRotate; }

Result<void> check(const RunnerSpec& spec) {
  bool sane = spec.sandbox.network <= Network::kBridge && sensible(spec.plan.logger);
  for (const ProcessSpec& process : spec.plan.processes)
    sane = sane && (!process.logger || sensible(*process.logger)) && process.min_duration >= Duration{} &&
           (process.fetch.empty() || !spec.fetcher.empty());
  if (!sane || spec.plan.finalization_wait < Duration{}) return unfit("it holds a value that has no meaning");
  if (const auto checked = check_plan(spec.plan); !checked) return unfit(checked.error().context);
  return {};
}

}  // namespace

std::string fetch_file(const std::string& run_folder, const std::string& process, const std::string& what) {
  return run_folder + "/fetch/" + process + "." + what;
}

std::vector<std::string> disk_folders(const RunnerSpec& spec) {
  std::vector<std::string> folders{spec.run_folder + "/sandbox"};
  if (spec.sandbox.root.writable) folders.push_back(spec.run_folder + "/layer");
  return folders;
}

std::string encode_runner_spec(const RunnerSpec& spec) {
  Encoder body;
  body(spec);
  Encoder header;
  header(kVersion, static_cast<std::uint32_t>(body.bytes().size()), crc32c(body.bytes()));
  return std::string(kMagic) + header.bytes() + body.bytes();
}

Result<RunnerSpec> decode_runner_spec(std::string_view bytes) {
  if (bytes.size() < kHeaderSize) return unfit("it ends within its header");
  if (bytes.substr(0, kMagic.size()) != kMagic) return unfit("it does not begin with 'DWRS'");
  std::uint32_t version = 0, length = 0, sum = 0;
  Decoder header(bytes.substr(kMagic.size(), kHeaderSize - kMagic.size()));
  header(version, length, sum);
  if (version != kVersion) {
    return unfit("version " + std::to_string(version) + ", where this program reads " + std::to_string(kVersion));
  }
  const std::string_view rest = bytes.substr(kHeaderSize);
  if (rest.size() != length) {
    return unfit(std::to_string(rest.size()) + " bytes where " + std::to_string(length) + " should be");
  }
  if (crc32c(rest) != sum) return unfit("wrong checksum");
  RunnerSpec spec;
  Decoder body(rest);
  body(spec);
  if (!body.complete()) return unfit("its content does not fit version " + std::to_string(kVersion));
  DEWAR_TRY(check(spec));
  return spec;
}

}  // namespace dewar
