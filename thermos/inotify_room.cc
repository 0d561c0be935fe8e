#include "thermos/inotify_room.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>

#include "base/files.h"

namespace dewar {
namespace {

constexpr char kKnob[] = "/proc/sys/fs/inotify/max_user_instances";

}  // namespace

Result<std::uint64_t> inotify_instances() {
  const std::string text = DEWAR_TRY(read_file(kKnob));
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool make_room_for_inotify_allowed() { return ::access(kKnob, W_OK) == 0; }

Result<void> make_room_for_inotify() {
  if (DEWAR_TRY(inotify_instances()) >= kInotifyInstances) return {};
  const UniqueFd knob = DEWAR_TRY(open_file(kKnob, O_WRONLY));
  return write_all(knob.get(), std::to_string(kInotifyInstances), kKnob);
}

}  // namespace dewar
