#pragma once

#include <string>

#include "isolation/container.h"

namespace dewar {

/// What keeps a container from being removed, for a person: its last processes and where in the kernel they are; empty
/// if nothing lives in it.
std::string what_holds(const ContainerSpec& spec);

/// For a container that could not be removed, since a process in it does not die: starts a process of its own
/// ("dewar-parked") that tries again, ever more rarely (at last once a minute), until the container is gone. Nothing
/// else waits for it; a new run of the task has a new name. Call with one thread only. Returns its pid, or -1.
pid_t park(const ContainerSpec& spec);

}  // namespace dewar
