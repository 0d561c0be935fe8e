// A disk of the host's with known bytes on it, made of a file.
#pragma once

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <string>

#include "base/files.h"

namespace dewar {

/// Goes at the end of its life, or of the process's. Where a host has none to give, path() is empty.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file) {
    const auto backing = open_file(file, O_RDONLY);
    const auto control = open_file("/dev/loop-control", O_RDWR);
    if (!backing || !control) return;
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(backing->get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY;
    for (int tries = 0; tries < 100 && path_.empty(); ++tries) {  // others look for a free one at the same time
      const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
      const std::string path = "/dev/loop" + std::to_string(number);
      auto device = number < 0 ? Result<UniqueFd>(UniqueFd()) : open_file(path, O_RDONLY);
      if (!device || !*device || ::ioctl(device->get(), LOOP_CONFIGURE, &config) != 0) continue;
      device_ = std::move(device).take();
      path_ = path;
    }
  }

  const std::string& path() const { return path_; }

 private:
  UniqueFd device_;  // the last one to be closed clears it
  std::string path_;
};

}  // namespace dewar
