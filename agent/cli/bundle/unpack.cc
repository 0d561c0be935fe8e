#include "agent/cli/bundle/unpack.h"

#include "fetcher/confine.h"
#include "fetcher/extract.h"

namespace dewar {
namespace {

// Histories of measurements are mostly holes, so what is unpacked may be far more than what was packed.
constexpr ExtractLimits kLimits{.bytes = 4ULL << 30, .entries = 200'000, .ratio = 1u << 20, .depth = 16};

}  // namespace

Result<void> unpack_bundle(int archive, UniqueFd target) {
  DEWAR_TRY(confine_extraction(target.get()));
  const auto report = DEWAR_TRY(extract_file(archive, std::move(target), "bundle.tar.zst", kLimits));
  if (report.symlinks + report.hard_links > 0) return fail("it has links in it, which no bundle has");
  return {};
}

}  // namespace dewar
