// The numbers that a task's ports get, so that no two tasks of this host get the same.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Ports of one run, written down as `/run/dewar/ports/<container_id>`: from allot() on they are held, first by this
/// object, then, once the run folder is there, by the run until it has ended. What a run that is no more has held is
/// free again without anybody's doing.
class PortReservation {
 public:
  struct Request {
    std::vector<std::string> names;
    std::map<std::string, std::int64_t> given;  ///< numbers that somebody has chosen
    std::string container_id, run_folder, task_id;
  };

  /// Each name without a number gets one of 31000 to 31999, the range that Mesos agents offer, that no other run holds
  /// and nobody listens on. Given numbers are taken as they are. Safe among processes. Errors: a given name or number
  /// that cannot be; none is free.
  static Result<PortReservation> allot(const Request& request, const std::string& folder = "/run/dewar/ports");

  const std::map<std::string, std::int64_t>& ports() const { return ports_; }

 private:
  PortReservation(std::map<std::string, std::int64_t> ports, UniqueFd held)
      : ports_(std::move(ports)), held_(std::move(held)) {}
  std::map<std::string, std::int64_t> ports_;
  UniqueFd held_;  ///< the file, locked
};

}  // namespace dewar
