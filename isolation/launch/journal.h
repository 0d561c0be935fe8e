#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "isolation/launch_info.h"
#include "isolation/log_index.h"

namespace dewar {

/// A copy of the output for the host's journal, an entry a line, by journald's native protocol
/// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). Never waits: what the journal does not take at once is dropped and
/// counted.
class Journal {
 public:
  explicit Journal(const LogRecipe& recipe);

  void take(OutputStream stream, std::string_view bytes);
  /// The last line needs no newline.
  void end(OutputStream stream);
  /// Bytes that the journal did not take.
  std::uint64_t lost() const { return lost_; }

 private:
  void send(OutputStream stream, std::string_view line);

  std::string socket_, fields_;
  UniqueFd fd_;
  std::array<std::string, 2> begun_;  ///< of each stream: a line whose end has not come
  std::uint64_t lost_ = 0;
};

}  // namespace dewar
