// A container's place in a CNI network. It is written down before anything is made, as `/var/lib/dewar/net/<id>`, and
// the namespace is kept alive by a mount at `/run/dewar/net/<id>`, so that whoever comes next can take it apart again:
// after the death of the container, of the runner, of both, or of the host.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/net/cni.h"

namespace dewar {

struct Attachment {
  CniNetwork network;
  std::string cgroup;  ///< the container's; while this folder exists the container is somebody's
  std::string result;  ///< of the last plugin that has succeeded; empty: none yet
  bool complete = false;
};

template <class Coder>
void code(Coder& c, Attachment& v) {
  c(v.network, v.cgroup, v.result, v.complete);
}

/// Byte for byte in docs/formats.md.
std::string encode_attachment(const Attachment& attachment);
/// Errors: EBADMSG.
Result<Attachment> decode_attachment(std::string_view bytes);

/// Who is joined to a network.
struct Attachee {
  std::string id, hostname;
  std::string cgroup;  ///< a folder that goes with the container
  pid_t init = 0;      ///< a process in its network namespace
};

/// Joins a container to a network and writes its address to the network's hosts file; blocks for some tenths of a
/// second, and longer while others do the same. First releases what containers that are gone have left (the host may
/// have been rebooted). After an error call detach_network(). Errors: what a plugin says.
Result<void> attach_network(const CniNetwork& network, const Attachee& who);

/// Whether attach_network() came to its end.
bool is_attached(const std::string& id);

/// Undoes it, however little was done. No error if nothing was. After an error the record stays, and the next container
/// on this host that is attached tries again once the cgroup is gone.
Result<void> detach_network(const std::string& id);

}  // namespace dewar
