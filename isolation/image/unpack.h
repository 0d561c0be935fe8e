#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "isolation/image/tree_writer.h"

namespace dewar {

/// A tar archive on its way into a folder.
struct Layer {
  const UniqueFd& archive;  ///< read from its beginning; any compression that libarchive knows by itself
  std::string name;         ///< for errors
  bool whiteouts = false;
};

struct Unpacked {
  UnpackCount count;   ///< of this layer and of those before it
  std::string sha256;  ///< of the archive's bytes as they lie on disk
};

/// Unpacks a layer over what is in `folder`, and tells the digest of exactly the bytes that were unpacked. Foreign
/// bytes are parsed by a child process whose root is `folder`, with no descriptor of ours but the archive, and with the
/// capabilities that owners and modes need. Needs root. Errors: words for an archive that is none, is damaged or means
/// what no image can mean; EFBIG for a limit. The folder is then in no useful state.
Result<Unpacked> unpack_layer(const Layer& layer, const std::string& folder, const UnpackLimits& limits,
                              const UnpackCount& before);

/// The same in this process, onto a folder that is open: what the child does. For the fuzzer.
Result<Unpacked> unpack_here(const Layer& layer, int folder, const UnpackLimits& limits, const UnpackCount& before);

}  // namespace dewar
