#pragma once

#include <string>

#include "base/result.h"

namespace dewar {

/// A bundle, unpacked into a folder of its own for as long as this lives. The file may be anybody's: it is unpacked by
/// a child that can reach nothing but that folder (fetcher/confine.h), and whatever is no plain file or folder refuses
/// it.
class OpenedBundle {
 public:
  /// Errors: words that say why it is no bundle.
  static Result<OpenedBundle> open(const std::string& path);
  OpenedBundle(OpenedBundle&& other) noexcept;
  OpenedBundle& operator=(OpenedBundle&&) = delete;
  ~OpenedBundle();

  const std::string& file() const { return file_; }
  /// The task's run folder, as far as it was bundled.
  const std::string& run_folder() const { return run_folder_; }

 private:
  OpenedBundle(std::string file, std::string folder) : file_(std::move(file)), folder_(std::move(folder)) {}
  std::string file_, folder_, run_folder_;
};

}  // namespace dewar
