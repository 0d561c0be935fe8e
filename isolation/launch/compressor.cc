#include "isolation/launch/compressor.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

namespace dewar {

Compressor::Compressor(const LogRecipe& recipe) : program_(recipe.compressor), argv_{"dewar-compress", recipe.folder} {
  if (!recipe.counter.empty()) argv_.push_back(recipe.counter);
  if (!recipe.host_counter.empty()) argv_.push_back(recipe.host_counter);
}

void Compressor::start() {
  if (program_.empty()) return;
  if (pidfd_) {
    again_ = true;
    return;
  }
  again_ = false;
  Spawn compress;
  compress.program = program_;
  compress.argv = argv_;
  compress.fds = {-1, -1, STDERR_FILENO};
  if (const auto pid = spawn(compress)) {
    if (auto pidfd = open_child(*pid)) pidfd_ = std::move(pidfd).take();
  }
}

void Compressor::ended() {
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  pidfd_.reset();
  if (again_) start();
}

void Compressor::leave() {
  pidfd_.reset();
  if (again_) start();  // it waits for the one that still runs
}

}  // namespace dewar
