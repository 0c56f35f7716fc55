/** gRPC status codes. */
export const GrpcCode = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type GrpcCode = (typeof GrpcCode)[keyof typeof GrpcCode];

/** An error that clients get as gRPC status. Code and text are those of etcd, because clients compare them. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError';

  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Creates a shared instance without a stack, because these errors are used on hot paths. */
function answer(code: GrpcCode, message: string): EtcdError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new EtcdError(code, message);
  Error.stackTraceLimit = limit;
  return error;
}

/** Every error that etcd's clients match on. */
export const errors = {
  EmptyKey: answer(GrpcCode.InvalidArgument, 'etcdserver: key is not provided'),
  KeyNotFound: answer(GrpcCode.InvalidArgument, 'etcdserver: key not found'),
  ValueProvided: answer(GrpcCode.InvalidArgument, 'etcdserver: value is provided'),
  LeaseProvided: answer(GrpcCode.InvalidArgument, 'etcdserver: lease is provided'),
  TooManyOps: answer(GrpcCode.InvalidArgument, 'etcdserver: too many operations in txn request'),
  DuplicateKey: answer(GrpcCode.InvalidArgument, 'etcdserver: duplicate key given in txn request'),
  InvalidClientAPIVersion: answer(GrpcCode.InvalidArgument, 'etcdserver: invalid client api version'),
  InvalidSortOption: answer(GrpcCode.InvalidArgument, 'etcdserver: invalid sort option'),
  Compacted: answer(GrpcCode.OutOfRange, 'etcdserver: mvcc: required revision has been compacted'),
  FutureRev: answer(GrpcCode.OutOfRange, 'etcdserver: mvcc: required revision is a future revision'),
  NoSpace: answer(GrpcCode.ResourceExhausted, 'etcdserver: mvcc: database space exceeded'),
  LeaseNotFound: answer(GrpcCode.NotFound, 'etcdserver: requested lease not found'),
  LeaseExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: lease already exists'),
  LeaseTTLTooLarge: answer(GrpcCode.OutOfRange, 'etcdserver: too large lease TTL'),
  WatchCanceled: answer(GrpcCode.Canceled, 'etcdserver: watch canceled'),
  MemberExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: member ID already exist'),
  PeerURLExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: Peer URLs already exists'),
  MemberNotEnoughStarted: answer(
    GrpcCode.FailedPrecondition,
    'etcdserver: re-configuration failed due to not enough started members',
  ),
  MemberBadURLs: answer(GrpcCode.InvalidArgument, 'etcdserver: given member URLs are invalid'),
  MemberNotFound: answer(GrpcCode.NotFound, 'etcdserver: member not found'),
  MemberNotLearner: answer(GrpcCode.FailedPrecondition, 'etcdserver: can only promote a learner member'),
  LearnerNotReady: answer(
    GrpcCode.FailedPrecondition,
    'etcdserver: can only promote a learner member which is in sync with leader',
  ),
  TooManyLearners: answer(GrpcCode.FailedPrecondition, 'etcdserver: too many learner members in cluster'),
  ClusterIDMismatch: answer(GrpcCode.FailedPrecondition, 'etcdserver: cluster ID mismatch'),
  RequestTooLarge: answer(GrpcCode.InvalidArgument, 'etcdserver: request is too large'),
  RequestTooManyRequests: answer(GrpcCode.ResourceExhausted, 'etcdserver: too many requests'),
  RootUserNotExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: root user does not exist'),
  RootRoleNotExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: root user does not have root role'),
  UserAlreadyExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: user name already exists'),
  UserEmpty: answer(GrpcCode.InvalidArgument, 'etcdserver: user name is empty'),
  UserNotFound: answer(GrpcCode.FailedPrecondition, 'etcdserver: user name not found'),
  RoleAlreadyExist: answer(GrpcCode.FailedPrecondition, 'etcdserver: role name already exists'),
  RoleNotFound: answer(GrpcCode.FailedPrecondition, 'etcdserver: role name not found'),
  RoleEmpty: answer(GrpcCode.InvalidArgument, 'etcdserver: role name is empty'),
  AuthFailed: answer(
    GrpcCode.InvalidArgument,
    'etcdserver: authentication failed, invalid user ID or password',
  ),
  PermissionNotGiven: answer(GrpcCode.InvalidArgument, 'etcdserver: permission not given'),
  PermissionDenied: answer(GrpcCode.PermissionDenied, 'etcdserver: permission denied'),
  RoleNotGranted: answer(GrpcCode.FailedPrecondition, 'etcdserver: role is not granted to the user'),
  PermissionNotGranted: answer(
    GrpcCode.FailedPrecondition,
    'etcdserver: permission is not granted to the role',
  ),
  AuthNotEnabled: answer(GrpcCode.FailedPrecondition, 'etcdserver: authentication is not enabled'),
  InvalidAuthToken: answer(GrpcCode.Unauthenticated, 'etcdserver: invalid auth token'),
  InvalidAuthMgmt: answer(GrpcCode.InvalidArgument, 'etcdserver: invalid auth management'),
  AuthOldRevision: answer(GrpcCode.InvalidArgument, 'etcdserver: revision of auth store is old'),
  NoLeader: answer(GrpcCode.Unavailable, 'etcdserver: no leader'),
  NotLeader: answer(GrpcCode.FailedPrecondition, 'etcdserver: not leader'),
  LeaderChanged: answer(GrpcCode.Unavailable, 'etcdserver: leader changed'),
  NotCapable: answer(GrpcCode.FailedPrecondition, 'etcdserver: not capable'),
  Stopped: answer(GrpcCode.Unavailable, 'etcdserver: server stopped'),
  Timeout: answer(GrpcCode.Unavailable, 'etcdserver: request timed out'),
  TimeoutDueToLeaderFail: answer(
    GrpcCode.Unavailable,
    'etcdserver: request timed out, possibly due to previous leader failure',
  ),
  TimeoutDueToConnectionLost: answer(
    GrpcCode.Unavailable,
    'etcdserver: request timed out, possibly due to connection lost',
  ),
  TimeoutWaitAppliedIndex: answer(
    GrpcCode.Unavailable,
    'etcdserver: request timed out, waiting for the applied index took too long',
  ),
  Unhealthy: answer(GrpcCode.Unavailable, 'etcdserver: unhealthy cluster'),
  Corrupt: answer(GrpcCode.DataLoss, 'etcdserver: corrupt cluster'),
  NotSupportedForLearner: answer(GrpcCode.FailedPrecondition, 'etcdserver: rpc not supported for learner'),
  BadLeaderTransferee: answer(GrpcCode.FailedPrecondition, 'etcdserver: bad leader transferee'),
  WrongDowngradeVersionFormat: answer(
    GrpcCode.InvalidArgument,
    'etcdserver: wrong downgrade target version format',
  ),
  InvalidDowngradeTargetVersion: answer(
    GrpcCode.InvalidArgument,
    'etcdserver: invalid downgrade target version',
  ),
  ClusterVersionUnavailable: answer(
    GrpcCode.FailedPrecondition,
    'etcdserver: cluster version not found during downgrade',
  ),
  DowngradeInProcess: answer(
    GrpcCode.FailedPrecondition,
    'etcdserver: cluster has a downgrade job in progress',
  ),
  NoInflightDowngrade: answer(GrpcCode.FailedPrecondition, 'etcdserver: no inflight downgrade job'),
  Canceled: answer(GrpcCode.Canceled, 'etcdserver: request canceled'),
  DeadlineExceeded: answer(GrpcCode.DeadlineExceeded, 'etcdserver: context deadline exceeded'),
} as const;
