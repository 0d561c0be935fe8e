#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "fetcher/extract/limits.h"
#include "fetcher/extract/ring.h"
#include "fetcher/extract/staging.h"

namespace dewar {

/// Counts what an archive asks for against its limits, before it is made.
class Meter {
 public:
  Meter(const ExtractLimits& limits, ExtractReport& report) : limits_(limits), report_(report) {}

  /// One more entry.
  Result<void> entry();
  /// `bytes` more of the file `path`. `archive_bytes`: size of the archive if the ratio is to be watched here, else 0.
  Result<void> grow(const std::string& path, std::uint64_t bytes);
  void watch_ratio(std::uint64_t archive_bytes) { archive_bytes_ = archive_bytes; }

  const ExtractLimits& limits() const { return limits_; }
  ExtractReport& report() { return report_; }

 private:
  const ExtractLimits& limits_;
  ExtractReport& report_;
  std::uint64_t entries_ = 0, archive_bytes_ = 0;
};

/// True for the first bytes of a tar archive: a header of any kind. A block of zeros is an empty archive, or the
/// beginning of a disk image: there the archive's name decides.
bool looks_like_tar(std::string_view head, std::string_view name);

/// A tar whose first chunk is `first` and whose others come from `source`.
Result<void> unpack_tar(std::string_view first, Ring& source, Staging& staging, Meter& meter);

/// A zip in a file, by its central directory. `size` of the file in bytes.
Result<void> unpack_zip(int file, std::uint64_t size, Staging& staging, Meter& meter);

/// One file whose content is everything there is.
Result<void> unpack_single(std::string_view first, Ring& source, const std::string& name, Staging& staging,
                           Meter& meter);

}  // namespace dewar
