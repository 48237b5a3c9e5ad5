! SPDX-License-Identifier: BSD-3-Clause
! MPI by its Fortran binding: strings in both directions, predefined attributes, messages, a communicator, a type and an operator of its own.  As worker.c otherwise.
program fortran_binding
  use mpi
  implicit none
  integer, parameter :: rounds = 100
  integer :: rank, ranks, round, unit, length, error, left, right, ring, column, largest, number, total, i
  integer :: requests(4), statuses(MPI_STATUS_SIZE, 4)
  double precision :: grid(20, 20), halo(1000), values(1000)
  character(len=MPI_MAX_PROCESSOR_NAME) :: host
  character(len=MPI_MAX_ERROR_STRING) :: text
  character(len=MPI_MAX_OBJECT_NAME) :: called
  character(len=32) :: name
  logical :: there, told
  integer(MPI_ADDRESS_KIND) :: highest
  external :: take_largest

  call MPI_Init(error)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
  call MPI_Cart_create(MPI_COMM_WORLD, 1, [ranks], [.true.], .false., ring, error)
  call MPI_Cart_shift(ring, 0, 1, left, right, error)
  call MPI_Comm_set_name(ring, '  a ring  ', error)
  call MPI_Type_vector(20, 1, 20, MPI_DOUBLE_PRECISION, column, error)
  call MPI_Type_commit(column, error)
  call MPI_Op_create(take_largest, .true., largest, error)
  write (name, '("out.",i0)') rank
  open (newunit=unit, file=name, status='replace', action='write')
  grid = rank
  values = rank
  total = 0
  do round = 1, rounds
    do i = 1, 50
      call MPI_Irecv(halo, 1000, MPI_DOUBLE_PRECISION, left, 1, ring, requests(1), error)
      call MPI_Irecv(grid(20, 1), 1, column, left, 2, ring, requests(2), error)
      call MPI_Isend(values, 1000, MPI_DOUBLE_PRECISION, right, 1, ring, requests(3), error)
      call MPI_Isend(grid(1, 1), 1, column, right, 2, ring, requests(4), error)
      call MPI_Waitall(4, requests, statuses, error)
      if (statuses(MPI_SOURCE, 1) /= left .or. statuses(MPI_TAG, 2) /= 2) error stop 4
      values = mod(halo + round, 1000d0)
      grid(1, :) = mod(grid(20, :) + rank + 1, 1000d0)
      call MPI_Allreduce(rank + i, number, 1, MPI_INTEGER, largest, ring, error)
      call MPI_Allreduce(MPI_IN_PLACE, number, 1, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD, error)
      total = mod(total * 31 + number, 65521)
    end do
    call MPI_Comm_get_name(ring, called, length, error)
    call MPI_Get_processor_name(host, i, error)
    if (i < 1 .or. len_trim(host) /= i .or. len_trim(called) /= length) error stop 5
    call MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, highest, told, error)
    call MPI_Attr_get(MPI_COMM_WORLD, MPI_TAG_UB, i, there, error)
    if (.not. told .or. .not. there .or. highest < 32767 .or. i /= highest) error stop 7
    call MPI_Error_string(MPI_SUCCESS, text, i, error)
    if (len_trim(text) /= i) error stop 6
    write (unit, '(i0,1x,i0,1x,f0.1,1x,f0.1,1x,"<",a,">")') round, total, sum(values), sum(grid(1, :)), called(1:length)
    flush (unit)
  end do
  do
    inquire (file='finish', exist=there)
    if (there) exit
  end do
  close (unit)
  call MPI_Op_free(largest, error)
  call MPI_Type_free(column, error)
  call MPI_Finalize(error)
end program

subroutine take_largest(mine, theirs, length, type)
  implicit none
  integer :: length, type, mine(length), theirs(length)
  theirs = max(mine, theirs)
end subroutine
