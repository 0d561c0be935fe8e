// Archives, unpacked while they arrive. Nothing an archive says can make a name outside the target folder.
// docs/fetcher.md, "Extraction", tells what is kept, what is refused, and why.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fetcher/extract/limits.h"

namespace dewar {

/// Unpacks one archive into a folder: tar, plain or by gzip, bzip2, xz or zstd; zip; and single files in gzip, bzip2,
/// xz or zstd. The format is told by the first bytes. Decompression and writing run in threads of their own, so both
/// overlap with the arrival of the bytes; memory is bounded (about 20 MB, and what xz or zstd ask for, up to 128 MB).
///
/// Everything is unpacked into a hidden folder inside the target, which finish() merges into the target: an archive
/// that fails leaves the target as it was. Files belong to the caller; modes are cut by 0022 and the umask.
///
/// Used by one thread. Call confine_extraction() first where the caller can live with it: the threads inherit it.
class Extractor {
 public:
  /// `target`: the folder, open for reading. `name`: the archive's file name; only a single compressed file needs it,
  /// whose own name it is without ".gz" and the like. Errors: those of making a folder in `target`.
  static Result<Extractor> start(UniqueFd target, std::string name, ExtractLimits limits = {});

  Extractor(Extractor&&) noexcept;
  Extractor& operator=(Extractor&&) noexcept;
  /// Without finish() before: gives up, and leaves the target as it was.
  ~Extractor();

  /// The next bytes of the archive. Waits while the threads are behind. Errors: words that say what is wrong with the
  /// archive, as soon as it is known; finish() then tells the same.
  Result<void> write(std::string_view bytes);

  /// The archive is complete: unpacks the rest, then merges. Files and symlinks replace files and symlinks of the same
  /// name, folders are merged with folders; a folder where the other has none is an error found before anything is
  /// moved. A merge is a rename per name: a power cut may leave a part of the names, never a part of a file.
  Result<ExtractReport> finish();

 private:
  class Work;
  explicit Extractor(std::unique_ptr<Work> work);
  std::unique_ptr<Work> work_;
};

/// The same for an archive that lies in a file: reads `archive` from its offset to its end (zip: by seeking, from the
/// file's beginning).
Result<ExtractReport> extract_file(int archive, UniqueFd target, std::string name, ExtractLimits limits = {});

}  // namespace dewar
