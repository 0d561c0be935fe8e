#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

struct BundleOptions {
  std::uint64_t log_bytes = 1u << 20;  ///< of each stream of each run, the last ones
  std::string doctor;                  ///< what `dewar doctor -o json` says of this host
  std::string version;                 ///< of this program
};

/// Takes one file: its path in the bundle, and its bytes.
using TakeFile = std::function<Result<void>(const std::string& path, std::string_view bytes)>;

/// Everything that a bundle of the task in `run_folder` holds, with what is secret masked (thermos/secrets.h); the
/// manifest comes last. docs/formats.md, "Bundle". Errors: those of `take`; what cannot be read of the task at all.
Result<void> write_contents(const std::string& run_folder, const BundleOptions& options, const TakeFile& take);

}  // namespace dewar
