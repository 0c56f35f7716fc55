import type { ClusterMember } from '../membership/member.ts';
import { checkUrls, type Memberships } from '../server/memberships.ts';
import {
  MemberAddResponse,
  type Member,
  MemberListResponse,
  MemberPromoteResponse,
  MemberRemoveResponse,
  MemberUpdateResponse,
} from '../wire/gen/etcdserverpb.ts';
import { Cluster } from '../wire/services.ts';
import { afterConsensus } from './kv.ts';
import { requireAdmin, requireUser } from './privileges.ts';
import { failCall, type ServiceContext } from './service-context.ts';

/** The Cluster service. */
export function registerCluster(context: ServiceContext, memberships: Memberships): void {
  const { member } = context;
  const { methods } = Cluster;

  context.unary(methods.memberList, (call, request) => {
    const answer = (): void =>
      context.asCaller(call, (who) => {
        requireUser(context, who);
        const members = member.cluster.members().map(toWire);
        // As in etcd, these headers have no revision.
        call.respond([context.headerAt(0), MemberListResponse.encode({ header: undefined, members })]);
      });
    if (request.linearizable) afterConsensus(context, call, answer);
    else answer();
  });

  context.unary(methods.memberAdd, (call, request) => {
    const peerUrls = checkUrls(request.peerUrls);
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      memberships
        .add(peerUrls, request.isLearner)
        .then(({ added, members }) => {
          const response = { header: undefined, member: toWire(added), members: members.map(toWire) };
          call.respond([context.headerAt(0), MemberAddResponse.encode(response)]);
        })
        .catch((error: unknown) => failCall(call, error));
    });
  });

  context.unary(methods.memberRemove, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      memberships
        .remove(request.id)
        .then((members) => {
          const response = { header: undefined, members: members.map(toWire) };
          call.respond([context.headerAt(0), MemberRemoveResponse.encode(response)]);
        })
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.unary(methods.memberUpdate, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      memberships
        .update(request.id, request.peerUrls)
        .then((members) => {
          const response = { header: undefined, members: members.map(toWire) };
          call.respond([context.headerAt(0), MemberUpdateResponse.encode(response)]);
        })
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.unary(methods.memberPromote, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      memberships
        .promote(request.id, call.metadata.get('token') ?? call.metadata.get('authorization'))
        .then((members) => {
          const response = { header: undefined, members: members.map(toWire) };
          call.respond([context.headerAt(0), MemberPromoteResponse.encode(response)]);
        })
        .catch((error: unknown) => failCall(call, error));
    }),
  );
}

function toWire({ id, name, peerUrls, clientUrls, isLearner }: ClusterMember): Member {
  return { id, name, peerUrls: [...peerUrls], clientUrls: [...clientUrls], isLearner };
}
