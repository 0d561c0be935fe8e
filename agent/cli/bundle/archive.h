#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct archive;

namespace dewar {

/// Writes a .tar.zst: regular files in folders, nothing else, belonging to nobody in particular.
class ArchiveWriter {
 public:
  /// Makes `path`, which must not be there (EEXIST), mode 0600.
  static Result<ArchiveWriter> create(const std::string& path);

  /// `name` below the archive's root; `time` in Unix seconds.
  Result<void> add(const std::string& name, std::string_view bytes, std::int64_t time);
  /// Without it the file is not whole.
  Result<void> finish();

 private:
  struct Close {
    void operator()(archive* a) const;
  };
  explicit ArchiveWriter(std::unique_ptr<archive, Close> writer) : writer_(std::move(writer)) {}
  std::unique_ptr<archive, Close> writer_;
};

}  // namespace dewar
