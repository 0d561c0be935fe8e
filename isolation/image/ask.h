// How `dewar run` gets an image without libarchive, and all that it brings along, in each of its starts: from the
// program dewar-image, which has it.
#pragma once

#include <string>

#include "isolation/image/image.h"

namespace dewar {

/// prepare_image() by `program`, the path of dewar-image. Errors: its words.
Result<Image> ask_for_image(const std::string& program, const RootImage& root, const std::string& store);

}  // namespace dewar
