# A room is a static library, a program an executable, a test a GoogleTest binary; each says what it links and nothing is
# global but the warnings. FLOOR: rooms below, visible to users of the room. USES: outside libraries, private to it.
foreach(options dewar_options dewar_plain_options)
  add_library(${options} INTERFACE)
  target_compile_options(${options} INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${options} INTERFACE -Wno-restrict)  # false positives of GCC 12 on std::string (PR 105651)
  endif()
  target_include_directories(${options} INTERFACE ${CMAKE_SOURCE_DIR})
endforeach()
if(DEWAR_SANITIZE)
  target_compile_options(dewar_options INTERFACE -fsanitize=${DEWAR_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=all)
  target_link_options(dewar_options INTERFACE -fsanitize=${DEWAR_SANITIZE})
endif()

# An outside library whose code becomes part of our programs: to load a shared one takes longer than the little that a
# task needs of it.
function(dewar_static_library variable name header)
  find_library(${variable} lib${name}.a REQUIRED)
  find_path(${variable}_HEADERS ${header} REQUIRED)
endfunction()

function(dewar_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;FLOOR;USES" ${ARGN})
  add_library(dewar_${name} STATIC ${ROOM_SOURCES})
  add_library(dewar::${name} ALIAS dewar_${name})
  list(TRANSFORM ROOM_FLOOR PREPEND dewar::)
  target_link_libraries(dewar_${name} PUBLIC ${ROOM_FLOOR} PRIVATE dewar_options ${ROOM_USES})
endfunction()

# Code and constants share their mappings: the fewer there are, the less a start and an end cost.
set(DEWAR_SMALL -Wl,--gc-sections -Wl,-z,noseparate-code)

# STATIC: links everything in (but not in a sanitizer build, whose runtime is a shared library), for the programs of which
# every task has some.
# LEAN: all but the C library itself, for the one that is started for each task and needs name services; a library that
# has to be shared elsewhere asks for the target's property DEWAR_LEAN.
function(dewar_program name)
  cmake_parse_arguments(PROGRAM "STATIC;LEAN" "" "SOURCES;FLOOR;USES" ${ARGN})
  add_executable(${name} ${PROGRAM_SOURCES})
  list(TRANSFORM PROGRAM_FLOOR PREPEND dewar::)
  target_link_libraries(${name} PRIVATE dewar_options ${PROGRAM_FLOOR} ${PROGRAM_USES})
  if(PROGRAM_STATIC AND NOT DEWAR_SANITIZE)
    target_link_options(${name} PRIVATE -static ${DEWAR_SMALL})
  endif()
  if(PROGRAM_LEAN AND NOT DEWAR_SANITIZE)
    set_target_properties(${name} PROPERTIES DEWAR_LEAN ON)
    target_link_options(${name} PRIVATE -no-pie -static-libstdc++ -static-libgcc -Wl,--as-needed ${DEWAR_SMALL})
  endif()
endfunction()

# What the tests run as a task's code: static, and without sanitizers in every build, whose threads and memory would count
# towards the limits that it crosses.
function(dewar_task_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE dewar_plain_options)
  target_link_options(${name} PRIVATE -static -Wl,--gc-sections)
endfunction()

# LABEL is one of unit, kernel (root and the real kernel), scenario (whole programs), lint, packaging.
function(dewar_test name)
  cmake_parse_arguments(TEST "" "LABEL;TIMEOUT" "SOURCES;FLOOR;USES;NEEDS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  list(TRANSFORM TEST_FLOOR PREPEND dewar::)
  target_link_libraries(${name} PRIVATE dewar_options ${TEST_FLOOR} ${TEST_USES} GTest::gtest GTest::gmock
                                        GTest::gtest_main)
  target_compile_options(${name} PRIVATE -O0)  # the tests' own code: compiles in half the time, and runs once
  target_compile_definitions(${name} PRIVATE DEWAR_BIN="${CMAKE_BINARY_DIR}/bin" DEWAR_SOURCE="${CMAKE_SOURCE_DIR}")
  if(TEST_NEEDS)
    add_dependencies(${name} ${TEST_NEEDS})
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${TEST_LABEL}" TIMEOUT ${TEST_TIMEOUT})
endfunction()
