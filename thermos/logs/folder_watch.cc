#include "thermos/logs/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::uint32_t kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

}  // namespace

Result<FolderWatch> FolderWatch::open() {
  FolderWatch watch;
  watch.fd_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch.fd_) return fail_errno("watch logs with inotify");
  return watch;
}

bool FolderWatch::add(const std::string& folder) {
  if (watched_.contains(folder)) return true;
  const int number = ::inotify_add_watch(fd_.get(), folder.c_str(), kEvents);
  if (number < 0) return false;
  folders_[number] = folder;
  watched_.insert(folder);
  return true;
}

std::set<std::string> FolderWatch::changed() {
  std::set<std::string> names;
  alignas(inotify_event) char block[16384];
  for (;;) {
    const ssize_t size = retry_eintr([&] { return ::read(fd_.get(), block, sizeof block); });
    if (size <= 0) return names;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(block + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) names.insert(watched_.begin(), watched_.end());
      const auto folder = folders_.find(event->wd);
      if (folder == folders_.end()) continue;
      names.insert(folder->second);
      if ((event->mask & IN_IGNORED) != 0) {  // the folder is gone
        watched_.erase(folder->second);
        folders_.erase(folder);
      }
    }
  }
}

}  // namespace dewar
