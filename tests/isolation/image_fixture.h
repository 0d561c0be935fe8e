// Images for tests: OCI layouts written by hand, and a root in which a shell runs.
#pragma once

#include <string>
#include <vector>

namespace dewar {

/// A layout at `folder` with one image, tagged `tag`, of these tar archives, lowest first. Returns the manifest's
/// digest. More images can be added to the same folder.
std::string add_oci_image(const std::string& folder, const std::string& tag, const std::vector<std::string>& layers,
                          const std::string& config = "{}");

/// Where a layout keeps a blob.
std::string oci_blob(const std::string& folder, const std::string& digest);

/// Copies programs of this host and the libraries they need to below `root`: bash as /bin/bash (and as /bin/sh), and
/// others by name.
void make_small_root(const std::string& root,
                     const std::vector<std::string>& programs = {"cat", "id", "ls", "rm", "stat"});

}  // namespace dewar
