// The file systems that task roots are made of: folders as they are, tar archives and OCI image layouts unpacked once
// into a store, one folder for each digest.
#pragma once

#include <cstdint>
#include <string>

#include "base/document.h"
#include "base/result.h"
#include "isolation/image/oci.h"
#include "isolation/image/unpack.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

struct Image {
  std::string folder;  ///< what a ContainerSpec's image_folder is
  std::string digest;  ///< "sha256:…", of the archive or of the manifest; empty: a folder
  ImageConfig config;
  bool unpacked = false;   ///< just now; otherwise it was there
  UnpackCount count = {};  ///< of what was unpacked just now
};

/// Between programs of one installation.
inline constexpr DocumentKind kImageAnswer{"DWIM", 1, "the image"};

template <class Coder>
void code(Coder& c, Image& v) {
  c(v.folder, v.digest, v.config, v.unpacked, v.count.bytes, v.count.entries, v.count.skipped);
}

/// Finds or makes it. `store` is made if need be, for root only. Safe against others that do the same, and against
/// being killed: an image is unpacked beside its place, under a lock, synced and then renamed. Needs root. Errors name
/// the image's path: ENOENT, what oci.h and unpack.h tell, a digest or size that is not the blob's.
Result<Image> prepare_image(const RootImage& root, const std::string& store, const UnpackLimits& limits = {});

/// The shell that an image has: "/bin/bash", or else "/bin/sh". Errors: words, if it has neither.
Result<std::string> find_shell(const std::string& image_folder);

/// Whom an image's config names, looked up in its own /etc/passwd and /etc/group unless they are numbers.
Result<User> look_up_image_user(const std::string& image_folder, const std::string& user);

}  // namespace dewar
